// kinto.js: offline copies of one collection that sync through the server.

import assert from "node:assert/strict";
import test from "node:test";
import {
  assertSame, CLIENT_WINS, httpClient, newCollection, offlineCopy, PAGE, requestsOf, SERVER_WINS, summary,
} from "./helpers.mjs";
import { testTwoCopies, twoCopies } from "./scenarios.mjs";

/** Return a new collection of alice's, and two copies of it. */
async function begin() {
  const remote = await newCollection();
  return { ...remote, here: offlineCopy(remote.bucketId), there: offlineCopy(remote.bucketId) };
}

/** Return the same, with one record that both copies have. */
const inSync = () => twoCopies(begin);

testTwoCopies("in a bucket", begin);

test("an empty collection syncs, again and again", async () => {
  const { bucketId } = await newCollection();
  const copy = offlineCopy(bucketId);

  for (let turn = 0; turn < 3; turn++) {
    const result = await copy.sync();
    assert.deepEqual([result.ok, summary(result)], [true, {}]);
  }
});

test("creations travel from each copy to the other", async () => {
  const { bucketId, things } = await newCollection();
  const [here, there] = [offlineCopy(bucketId), offlineCopy(bucketId)];
  await here.create({ title: "from here", nested: { list: [1, null, "é"] } });
  await there.create({ title: "from there" });

  assert.deepEqual(summary(await here.sync()), { published: 1 });
  assert.deepEqual(summary(await there.sync()), { created: 1, published: 1 });
  assert.deepEqual(summary(await here.sync()), { created: 1 });

  const expected = await assertSame(things, here, there);
  assert.deepEqual(Object.values(expected).map(({ title }) => title).sort(), ["from here", "from there"]);
});

test("a record created and deleted before any sync never reaches the server", async () => {
  const { bucketId, things } = await newCollection();
  const copy = offlineCopy(bucketId);
  const { data } = await copy.create({ n: 1 });
  await copy.delete(data.id);

  await copy.sync();

  assert.deepEqual(await assertSame(things, copy), {});
});

test("a record deleted on both sides is gone on both, without a conflict", async () => {
  const { things, here, there, id } = await inSync();
  await here.delete(id);
  await there.delete(id);

  await here.sync();
  const result = await there.sync();

  assert.equal(result.ok, true);
  assert.deepEqual(await assertSame(things, here, there), {});
});

test("an incremental sync asks for what changed and receives only that", async () => {
  const { things, here, there, id } = await inSync();
  for (let n = 0; n < 30; n++) await things.createRecord({ n });
  await there.sync();
  const since = await there.db.getLastModified();
  await here.sync();
  await here.update({ id, n: 2 });
  await here.sync();

  let result;
  const requests = await requestsOf(async () => { result = await there.sync(); });

  assert.deepEqual(summary(result), { updated: 1 });
  assert.equal(requests.length, 2);
  assert.match(requests[1], new RegExp(`^GET .*/records\\?.*_since=${since}$`));
  assert.ok(result.lastModified > since);
});

test("after a push, the last pull leaves out what was pushed", async () => {
  const { here } = await inSync();
  const { data } = await here.create({ n: 2 });

  let result;
  const requests = await requestsOf(async () => { result = await here.sync(); });

  assert.deepEqual(summary(result), { published: 1 });
  assert.match(requests.at(-1), new RegExp(`^GET .*/records\\?.*exclude_id=${data.id}`));
});

for (const [strategy, winner] of [[CLIENT_WINS, "there"], [SERVER_WINS, "here"]]) {
  test(`a conflict of two creations of one id goes to ${winner} with ${strategy}`, async () => {
    const { bucketId, things } = await newCollection();
    const [here, there] = [offlineCopy(bucketId), offlineCopy(bucketId)];
    const id = "2f5f0bd6-8c5c-4e2c-9a3d-0a6e8c1a7b11";
    await here.create({ id, n: "here" }, { useRecordId: true });
    await there.create({ id, n: "there" }, { useRecordId: true });
    await here.sync();

    await there.sync({ strategy });
    await here.sync();

    assert.equal((await assertSame(things, here, there))[id].n, winner);
  });
}

for (const [strategy, winner] of [[CLIENT_WINS, "there"], [SERVER_WINS, "here"]]) {
  test(`a write that comes between the pull and the push goes to ${winner} with ${strategy}`, async () => {
    const { things, here, there, id } = await inSync();
    await there.update({ id, n: "there" });
    // The pull of `there` sees nothing; its push meets the version of `here`, by the details of a 412.
    const gather = there.gatherLocalChanges.bind(there);
    there.gatherLocalChanges = async () => {
      await here.update({ id, n: "here" });
      await here.sync();
      return gather();
    };

    const result = await there.sync({ strategy });
    await here.sync();

    assert.equal(result.ok, true);
    assert.equal((await assertSame(things, here, there))[id].n, winner);
  });
}

test("many records are pulled over several pages, each once", async () => {
  const { bucketId, things } = await newCollection();
  const size = 2 * PAGE + 7;
  await things.batch((batch) => {
    for (let n = 0; n < size; n++) batch.createRecord({ n });
  });
  const copy = offlineCopy(bucketId);

  let result;
  const requests = await requestsOf(async () => { result = await copy.sync(); });

  assert.deepEqual(summary(result), { created: size });
  assert.equal(requests.filter((each) => each.includes("/records?")).length, 3);
  assert.equal(Object.keys(await assertSame(things, copy)).length, size);
  assert.deepEqual(summary(await copy.sync()), {});
});

test("changes over several pages reach a copy that was away, deletions included", async () => {
  const { things, here, there } = await inSync();
  await things.batch((batch) => {
    for (let n = 0; n < 2 * PAGE; n++) batch.createRecord({ n });
  });
  await here.sync();
  const { data: deleted } = await things.deleteRecords({ filters: { lt_n: 10 } });
  await things.batch((batch) => {
    for (let n = 0; n < PAGE; n++) batch.createRecord({ n: 1000 + n });
  });

  const result = await here.sync();
  await there.sync();

  // The ten and the record that was there before.
  assert.equal(deleted.length, 11);
  assert.deepEqual(summary(result), { created: PAGE, deleted: 11 });
  await assertSame(things, here, there);
});

test("local changes are pushed in batches of 25", async () => {
  const { bucketId, things } = await newCollection();
  const copy = offlineCopy(bucketId);
  for (let n = 0; n < 60; n++) await copy.create({ n });

  let result;
  const requests = await requestsOf(async () => { result = await copy.sync(); });

  assert.equal(result.published.length, 60);
  assert.equal(requests.filter((each) => each === "POST /batch").length, 3);
  assert.equal(Object.keys(await assertSame(things, copy)).length, 60);
});

test("what changes nothing in the list is not taken for a flush", async () => {
  const { bucket, things, here, id } = await inSync();
  const { data: old } = await things.getRecord(id);
  await things.updateRecord({ ...old, n: 2 });
  await here.sync();

  // Reads, refused writes, and changes of what is around the list.
  await things.listRecords();
  await things.getTotalRecords();
  await assert.rejects(things.updateRecord(old, { safe: true }), /412/);
  await assert.rejects(things.deleteRecord("never-there"), /404/);
  await assert.rejects(things.createRecord({ id: "not valid!" }), /400/);
  await bucket.collection("things").setData({ title: "Things" }, { patch: true });
  await bucket.createGroup("editors", ["mary"]);
  await bucket.createCollection("other");
  await bucket.collection("other").createRecord({ n: 1 });
  await bucket.collection("other").deleteRecords();

  assert.deepEqual(summary(await here.sync()), {});
});

test("a change of permissions only is a change of the record, not a flush", async () => {
  const { things, here, id } = await inSync();
  const before = here.lastModified;

  await things.updateRecord({ id }, { permissions: { read: ["system.Everyone"] } });
  const result = await here.sync();

  assert.equal(result.ok, true);
  assert.ok(here.lastModified > before);
  await assertSame(things, here);
});

test("deleting all records is a change that copies follow, not a flush", async () => {
  const { things, here, there } = await inSync();
  await things.deleteRecords();

  assert.deepEqual(summary(await here.sync()), { deleted: 1 });
  assert.deepEqual(summary(await there.sync()), { deleted: 1 });
  assert.deepEqual(await assertSame(things, here, there), {});
});

test("a bucket made anew is a flush that is seen, and a copy may publish everything again", async () => {
  const { client, bucketId, things, here, id } = await inSync();
  await client.deleteBucket(bucketId);
  await client.createBucket(bucketId);
  await client.bucket(bucketId).createCollection("things");

  await assert.rejects(here.sync(), /flushed/);
  await here.resetSyncStatus();
  const result = await here.sync();

  assert.deepEqual(summary(result), { published: 1 });
  assert.deepEqual(Object.keys(await assertSame(things, here)), [id]);
});

test("a copy that may have missed a deletion is told so, and starts afresh", async () => {
  const { client, bucketId, things, here } = await inSync();
  await client.deleteBucket(bucketId);
  await client.createBucket(bucketId);
  await client.bucket(bucketId).createCollection("things");
  const { data } = await things.createRecord({ n: 2 });

  await assert.rejects(here.sync(), /410.*Read the whole list anew/);
  await here.clear();
  await here.resetSyncStatus();
  const result = await here.sync();

  assert.deepEqual(summary(result), { created: 1 });
  assert.deepEqual(Object.keys(await assertSame(things, here)), [data.id]);
});

test("the metadata of the collection come with each sync", async () => {
  const { things, here } = await inSync();
  await things.setData({ title: "Things" });

  await here.sync();

  assert.equal((await here.metadata()).title, "Things");
});

test("two users edit one collection that one shares with the other", async () => {
  const { bucketId, things, here, id } = await inSync();
  const bob = await httpClient("bob").fetchUser();
  await assert.rejects(offlineCopy(bucketId, "bob").sync(), /403/);
  await things.addPermissions({ write: [bob.id] });
  const his = offlineCopy(bucketId, "bob");

  await his.sync();
  await his.update({ id, n: "bob" });
  await his.create({ n: "new" });
  await his.sync();
  await here.sync();

  const expected = await assertSame(things, here, his);
  assert.deepEqual(Object.values(expected).map(({ n }) => n).sort(), ["bob", "new"]);
});

test("five copies that edit at the same time end up the same", async () => {
  const { bucketId, things } = await newCollection();
  const copies = Array.from({ length: 5 }, () => offlineCopy(bucketId));
  const shared = (await things.createRecord({ round: -1, number: -1 })).data.id;

  for (let round = 0; round < 3; round++) {
    await Promise.all(copies.map(async (copy, number) => {
      await copy.sync({ strategy: CLIENT_WINS });
      await copy.create({ round, number });
      await copy.update({ id: shared, round, number });
      await copy.sync({ strategy: CLIENT_WINS });
    }));
  }
  // The last pull of kinto.js leaves out what it has just pushed, a newer edit by another copy included, and that copy
  // does not look back. So the record that all edit is edited once more when all are quiet.
  await things.updateRecord({ id: shared, round: 3, number: -1 });
  for (const copy of copies) await copy.sync({ strategy: SERVER_WINS });

  const expected = await assertSame(things, ...copies);
  assert.equal(Object.keys(expected).length, 16);
});
