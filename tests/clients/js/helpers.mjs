// What the scenarios share: users, a bucket and a collection for each, and offline copies of a collection.
// The server is at KOBAKO_URL, one whose users have accounts at KOBAKO_ACCOUNTS_URL; both put KOBAKO_PAGE objects in a
// page. The bundles are those that browsers load.

import "fake-indexeddb/auto";
import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import kintoBundle from "kinto/dist/kinto.js";
import KintoClient from "kinto-http/dist/kinto-http.min.js";

const Kinto = kintoBundle.default;
globalThis.crypto ??= webcrypto; // Node 18 has it, but not where browsers do.

export const REMOTE = process.env.KOBAKO_URL;
export const ACCOUNTS = process.env.KOBAKO_ACCOUNTS_URL;
export const PAGE = Number(process.env.KOBAKO_PAGE);
export const { CLIENT_WINS, SERVER_WINS, MANUAL } = Kinto.syncStrategy;

const requests = [];
const send = globalThis.fetch;
globalThis.fetch = (url, options) => {
  requests.push(`${options.method ?? "GET"} ${decodeURIComponent(url.replace(REMOTE, "").replace(ACCOUNTS, ""))}`);
  return send(url, options);
};

let count = 0;
const run = `${process.pid}-${Date.now()}`;

/** Return the headers by which a user says who they are. */
export function login(user, password = "a-secret") {
  return { Authorization: "Basic " + btoa(`${user}:${password}`) };
}

/** Return a client of kinto-http for a user; without a user, an anonymous one. */
export function httpClient(user, { remote = REMOTE, ...options } = {}) {
  return new KintoClient(remote, { headers: user ? login(user) : {}, ...options });
}

/** Return a name that nobody has. */
export function newName() {
  return `user-${run}-${++count}`;
}

/** Sign up as anybody does; return the name of the account. */
export async function newAccount() {
  const { data } = await httpClient(null, { remote: ACCOUNTS }).createAccount(newName(), "a-secret");
  return data.id;
}

/** Create a bucket of alice's with an empty collection; return its name and a client of it. */
export async function newCollection(user = "alice") {
  const bucketId = `js-${run}-${++count}`;
  const client = httpClient(user);
  await client.createBucket(bucketId);
  await client.bucket(bucketId).createCollection("things");
  return { client, bucketId, bucket: client.bucket(bucketId), things: client.bucket(bucketId).collection("things") };
}

/** Return an offline copy of a bucket's collection, with a local database of its own. */
export function offlineCopy(bucketId, user = "alice", remote = REMOTE) {
  const adapterOptions = { dbName: `copy-${++count}` };
  const kinto = new Kinto({ remote, bucket: bucketId, headers: login(user), adapterOptions, timeout: 20000 });
  return kinto.collection("things");
}

/** Return what a copy holds, by id, without what is only of the copy. */
export async function contents(copy) {
  const { data } = await copy.list({ order: "id" });
  return Object.fromEntries(data.map(({ _status, ...record }) => [record.id, record]));
}

/** Return what the server holds, by id. */
export async function remoteContents(things) {
  const { data } = await things.listRecords({ pages: Infinity, sort: "id" });
  return Object.fromEntries(data.map((record) => [record.id, record]));
}

/** Assert that copies hold what the server holds, to the last attribute. */
export async function assertSame(things, ...copies) {
  const expected = await remoteContents(things);
  for (const copy of copies) assert.deepEqual(await contents(copy), expected);
  return expected;
}

/** Return the sizes of what a sync did, leaving out what it did not. */
export function summary(result) {
  const lists = ["created", "updated", "deleted", "published", "conflicts", "resolved", "skipped", "errors"];
  return Object.fromEntries(lists.map((name) => [name, result[name].length]).filter(([, size]) => size));
}

/** Call a function; return the requests that were made meanwhile, as `GET /path?query`, without the server. */
export async function requestsOf(work) {
  const before = requests.length;
  await work();
  return requests.slice(before);
}
