// kinto-http.js, with accounts: the server is at KOBAKO_ACCOUNTS_URL.

import assert from "node:assert/strict";
import test from "node:test";
import KintoClient from "kinto-http/dist/kinto-http.min.js";

const REMOTE = process.env.KOBAKO_ACCOUNTS_URL;
const name = `js-${process.pid}-${Date.now()}`;

/** Return the headers by which the user of the account says who they are. */
function login(password) {
  return { Authorization: "Basic " + btoa(`${name}:${password}`) };
}

/** Return a client of that user, or of nobody. */
function client(password) {
  return new KintoClient(REMOTE, { headers: password ? login(password) : {} });
}

test("an account is created, used, and given another password", async () => {
  assert.equal((await client().fetchServerCapabilities()).accounts.validation_enabled, false);
  const created = await client().createAccount(name, "first");
  const bucket = client("first").bucket(name);
  await client("first").createBucket(name);
  await client("first").execute({
    method: "PATCH",
    path: `/accounts/${name}`,
    headers: login("first"),
    body: { data: { password: "second" } },
  });

  assert.equal(created.data.id, name);
  assert.deepEqual(created.permissions, { write: [`account:${name}`] });
  await assert.rejects(bucket.getData(), /HTTP 401/);
  assert.equal((await client("second").bucket(name).getData()).id, name);
  assert.equal((await client("second").fetchUser()).id, `account:${name}`);
});
