// kinto-http.js: the online client.

import assert from "node:assert/strict";
import test from "node:test";
import { httpClient, newCollection, PAGE, remoteContents, requestsOf } from "./helpers.mjs";

/** Create records whose `n` is 0, 1, ... and return them. */
async function createMany(things, size) {
  const { published } = await things.batch((batch) => {
    for (let n = 0; n < size; n++) batch.createRecord({ n, parity: n % 2 ? "odd" : "even" });
  }, { aggregate: true });
  return published.map(({ data }) => data);
}

/** Return what a promise is rejected with. */
async function rejection(promise) {
  return promise.then(() => assert.fail("it was not rejected"), (error) => error);
}

test("the hello view tells the user, the settings, the capabilities and the version", async () => {
  const client = httpClient("alice");

  assert.match((await client.fetchUser()).id, /^basicauth:[0-9a-f]{64}$/);
  assert.equal(await httpClient().fetchUser(), undefined);
  assert.equal((await client.fetchServerSettings()).batch_max_requests, 25);
  assert.ok("basicauth" in (await client.fetchServerCapabilities()));
  assert.match(await client.fetchHTTPApiVersion(), /^1\.\d+$/);
});

test("buckets and collections are created, read, changed, listed and deleted", async () => {
  const { client, bucketId, bucket } = await newCollection();

  await bucket.setData({ label: "mine" });
  await bucket.createCollection("notes", { data: { title: "Notes" }, permissions: { read: ["system.Everyone"] } });
  await bucket.collection("notes").setData({ sort: "n" }, { patch: true });
  const notes = await bucket.collection("notes").getData();
  const { data: listed } = await bucket.listCollections({ sort: "id" });
  await bucket.deleteCollection("notes");
  const { data: left } = await bucket.listCollections();
  const { data: buckets } = await client.listBuckets({ filters: { id: bucketId } });

  assert.deepEqual([notes.title, notes.sort], ["Notes", "n"]);
  assert.deepEqual(listed.map(({ id }) => id), ["notes", "things"]);
  assert.deepEqual(left.map(({ id }) => id), ["things"]);
  assert.deepEqual(buckets.map(({ label }) => label), ["mine"]);
  assert.equal((await client.deleteBucket(bucketId)).data.deleted, true);
  assert.equal((await rejection(bucket.getData())).response.status, 403);
});

test("groups are created, read, changed, listed and deleted", async () => {
  const { bucket } = await newCollection();

  await bucket.createGroup("editors", ["mary"], { data: { label: "Editors" } });
  await bucket.updateGroup({ id: "editors", members: ["mary", "john"] }, { patch: true });
  const { data: group } = await bucket.getGroup("editors");
  const { data: listed } = await bucket.listGroups();
  await bucket.deleteGroup("editors");

  assert.deepEqual([group.label, group.members.sort()], ["Editors", ["john", "mary"]]);
  assert.deepEqual(listed.map(({ id }) => id), ["editors"]);
  assert.deepEqual((await bucket.listGroups()).data, []);
});

test("a record is created, read, patched, replaced and deleted", async () => {
  const { things } = await newCollection();

  const { data: created } = await things.createRecord({ title: "café", list: [1, null, { x: true }] });
  const { data: read } = await things.getRecord(created.id);
  const { data: patched } = await things.updateRecord({ id: created.id, size: 2 }, { patch: true });
  const { data: replaced } = await things.updateRecord({ id: created.id, title: "tea" });
  const { data: tombstone } = await things.deleteRecord(created.id);

  assert.deepEqual(read, created);
  assert.deepEqual([patched.title, patched.size], ["café", 2]);
  assert.deepEqual([replaced.title, "list" in replaced], ["tea", false]);
  assert.equal(tombstone.deleted, true);
  const error = await rejection(things.getRecord(created.id));
  assert.deepEqual([error.response.status, error.data.errno], [404, 110]);
});

test("only some fields are fetched where the client asks for some", async () => {
  const { things } = await newCollection();
  const { data: { id } } = await things.createRecord({ a: 1, nested: { x: 1, y: 2 } });

  const { data: record } = await things.getRecord(id, { fields: ["nested.x"] });
  const { data: [listed] } = await things.listRecords({ fields: ["a"] });

  assert.deepEqual(Object.keys(record).sort(), ["id", "last_modified", "nested"]);
  assert.deepEqual(record.nested, { x: 1 });
  assert.deepEqual(Object.keys(listed).sort(), ["a", "id", "last_modified"]);
});

test("a list comes page by page, or some pages at once, or whole", async () => {
  const { things } = await newCollection();
  await createMany(things, PAGE + 5);

  const first = await things.listRecords({ sort: "n", limit: 3 });
  const second = await first.next();
  const some = await things.listRecords({ sort: "n", limit: 3, pages: 2 });
  const one = await things.listRecords();
  const all = await things.listRecords({ sort: "n", pages: Infinity });

  assert.deepEqual(first.data.map(({ n }) => n), [0, 1, 2]);
  assert.deepEqual(second.data.map(({ n }) => n), [3, 4, 5]);
  assert.deepEqual(some.data.map(({ n }) => n), [0, 1, 2, 3, 4, 5]);
  assert.deepEqual([one.data.length, one.hasNextPage], [PAGE, true]);
  assert.deepEqual(all.data.map(({ n }) => n), Array.from({ length: PAGE + 5 }, (_, n) => n));
  assert.equal(all.hasNextPage, false);
});

test("a list is filtered and sorted", async () => {
  const { things } = await newCollection();
  const records = await createMany(things, 10);
  const numbers = async (filters, sort = "n") => (await things.listRecords({ filters, sort })).data.map(({ n }) => n);

  assert.deepEqual(await numbers({ parity: "odd" }, "-n"), [9, 7, 5, 3, 1]);
  assert.deepEqual(await numbers({ min_n: 2, lt_n: 5 }), [2, 3, 4]);
  assert.deepEqual(await numbers({ in_n: [1, 8] }), [1, 8]);
  assert.deepEqual(await numbers({ in_id: [records[4].id, records[6].id] }), [4, 6]);
  assert.deepEqual(await numbers({ like_parity: "ev*", gt_n: 5 }), [6, 8]);
});

test("a list tells how many records it has, and its timestamp", async () => {
  const { things } = await newCollection();
  const records = await createMany(things, 3);
  const { data: tombstone } = await things.deleteRecord(records[0].id);

  assert.equal(await things.getTotalRecords(), 2);
  assert.equal(await things.getRecordsTimestamp(), `"${tombstone.last_modified}"`);
  assert.equal((await things.listRecords()).last_modified, String(tombstone.last_modified));
});

test("what changed since a timestamp is listed, deletions included", async () => {
  const { things } = await newCollection();
  const [first, second] = await createMany(things, 2);
  const { last_modified: since } = await things.listRecords();

  await things.deleteRecord(first.id);
  const { data: added } = await things.createRecord({ n: 2 });
  const { data } = await things.listRecords({ since });

  assert.deepEqual(data.map(({ id, deleted }) => [id, deleted]), [[added.id, undefined], [first.id, true]]);
  assert.ok(!data.some(({ id }) => id === second.id));
});

test("what changes while a list is read page by page is in the changes since the ETag of its last page", async () => {
  const { things } = await newCollection();
  const [oldest, second] = await createMany(things, 30);

  const first = await things.listRecords({ limit: 10 });
  await things.updateRecord({ ...oldest, n: -1 });
  await things.deleteRecord(second.id);
  const middle = await first.next();
  await things.createRecord({ n: 30 });
  const last = await middle.next();
  const changes = await things.listRecords({ since: last.last_modified });

  const copy = {};
  for (const record of [...first.data, ...middle.data, ...last.data]) copy[record.id] = record;
  for (const record of changes.data) {
    if (record.deleted) delete copy[record.id];
    else copy[record.id] = record;
  }
  assert.deepEqual(copy, await remoteContents(things));
});

test("safe writes are refused over what exists or is newer, with the version that stands", async () => {
  const { things } = await newCollection();
  const { data: mine } = await things.createRecord({ n: 1 });
  const { data: newer } = await things.updateRecord({ ...mine, n: 2 }, { safe: true });

  for (const attempt of [
    () => things.createRecord({ id: mine.id, n: 3 }, { safe: true }),
    () => things.updateRecord({ ...mine, n: 3 }, { safe: true }),
    () => things.updateRecord({ ...mine, n: 3 }, { safe: true, patch: true }),
    () => things.deleteRecord(mine, { safe: true }),
  ]) {
    const error = await rejection(attempt());
    assert.deepEqual([error.response.status, error.data.errno], [412, 114]);
    assert.match(error.message, /created, updated or deleted meanwhile/);
    assert.deepEqual(error.data.details.existing, newer);
  }
  assert.deepEqual((await things.getRecord(mine.id)).data, newer);
  assert.equal((await things.deleteRecord(newer, { safe: true })).data.deleted, true);
});

test("permissions are set, added and removed, and the data stay", async () => {
  const { bucket, things } = await newCollection();
  await things.setData({ title: "Things" });
  const owner = (await things.getPermissions()).write;

  await things.setPermissions({ read: ["system.Everyone"] });
  await things.addPermissions({ read: ["basicauth:mary"], "record:create": ["system.Authenticated"] });
  await things.removePermissions({ read: ["system.Everyone"] });
  await bucket.addPermissions({ "collection:create": ["system.Authenticated"] });

  assert.deepEqual(await things.getPermissions(), {
    read: ["basicauth:mary"], "record:create": ["system.Authenticated"], write: owner,
  });
  assert.equal((await things.getData()).title, "Things");
  assert.deepEqual((await bucket.getPermissions())["collection:create"], ["system.Authenticated"]);
});

test("a change of permissions of another version is refused", async () => {
  const { things } = await newCollection();
  const { last_modified } = await things.getData();
  await things.setData({ title: "Newer" });

  const error = await rejection(things.addPermissions({ read: ["system.Everyone"] }, { safe: true, last_modified }));

  assert.equal(error.response.status, 412);
  assert.equal("read" in (await things.getPermissions()), false);
});

test("a record is shared with another user, who sees only that one", async () => {
  const { bucketId, things } = await newCollection();
  const bob = httpClient("bob");
  const his = bob.bucket(bucketId).collection("things");
  const { data: { id } } = await things.createRecord({ n: 1 }, { permissions: { read: [(await bob.fetchUser()).id] } });
  await things.createRecord({ n: 2 });

  assert.deepEqual((await his.listRecords()).data.map(({ n }) => n), [1]);
  assert.equal((await rejection(his.updateRecord({ id, n: 3 }))).response.status, 403);
  const anonymous = httpClient().bucket(bucketId).collection("things");
  assert.equal((await rejection(anonymous.getRecord(id))).response.status, 401);
});

test("a batch reports what was published, skipped, in conflict and wrong", async () => {
  const { things } = await newCollection();
  const [first, second] = await createMany(things, 2);
  const { data: newer } = await things.updateRecord({ ...second, n: 20 });

  const report = await things.batch((batch) => {
    batch.updateRecord({ ...first, n: 10 });
    batch.updateRecord({ ...second, n: 21 });
    batch.deleteRecord({ id: "never-there", last_modified: 1 });
    batch.createRecord({ id: "not valid!" });
    batch.createRecord({ id: "fine", n: 3 });
  }, { safe: true, aggregate: true });

  assert.deepEqual(report.published.map(({ data }) => data.n), [10, 3]);
  assert.deepEqual(report.conflicts.map(({ local, remote }) => [local.data.n, remote]), [[21, newer]]);
  assert.deepEqual(report.skipped.map(({ id, error }) => [id, error.errno]), [["never-there", 110]]);
  assert.deepEqual(report.errors.map(({ error }) => [error.code, error.errno]), [[400, 107]]);
});

test("a batch of any size is cut to what the server takes, and answered in order", async () => {
  const { things } = await newCollection();

  let created;
  const requests = await requestsOf(async () => { created = await createMany(things, 60); });

  assert.deepEqual(created.map(({ n }) => n), Array.from({ length: 60 }, (_, n) => n));
  assert.equal(requests.filter((each) => each === "POST /batch").length, 3);
});

test("a batch on a bucket creates a collection, a group and records", async () => {
  const { bucket } = await newCollection();

  const answers = await bucket.batch((batch) => {
    batch.createCollection("notes");
    batch.createGroup("editors", ["mary"]);
    batch.collection("notes").createRecord({ n: 1 });
    batch.collection("notes").setPermissions({ read: ["system.Everyone"] });
    batch.collection("notes").listRecords();
  });

  assert.deepEqual(answers.map(({ status }) => status), [201, 201, 201, 200, 200]);
  assert.deepEqual(answers[3].body.permissions.read, ["system.Everyone"]);
  assert.deepEqual(answers[4].body.data.map(({ n }) => n), [1]);
});

test("records are deleted by filter, and all, page after page", async () => {
  const { things } = await newCollection();
  await createMany(things, PAGE + 10);

  const { data: odd } = await things.deleteRecords({ filters: { parity: "odd" }, pages: 1 });
  const sizes = [];
  for (;;) {
    const { data, hasNextPage } = await things.deleteRecords({ limit: 20 });
    sizes.push(data.length);
    if (!hasNextPage) break;
  }

  assert.equal(odd.length, PAGE / 2 + 5);
  assert.equal(sizes.reduce((sum, size) => sum + size), PAGE + 10 - odd.length);
  assert.ok(sizes.every((size) => size <= 20));
  assert.deepEqual((await things.listRecords()).data, []);
});

test("all buckets of a user are deleted at once, and those of others stay", async () => {
  const [mine, hers] = [await newCollection("carol"), await newCollection("alice")];

  const { data } = await httpClient("carol").deleteBuckets();

  assert.deepEqual(data.map(({ id, deleted }) => [id, deleted]), [[mine.bucketId, true]]);
  assert.equal((await hers.bucket.getData()).id, hers.bucketId);
});
