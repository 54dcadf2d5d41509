// kinto.js and kinto-http.js on the default bucket: offline copies of a user's own, that nobody has made before.

import assert from "node:assert/strict";
import test from "node:test";
import {
  assertSame, CLIENT_WINS, contents, httpClient, MANUAL, offlineCopy, requestsOf, SERVER_WINS, summary,
} from "./helpers.mjs";

let count = 0;

/** Return a user who has never asked for anything, two copies of their collection, and a client of it. */
function newUser() {
  const user = `user-${process.pid}-${Date.now()}-${++count}`;
  const client = httpClient(user);
  const [here, there] = [offlineCopy("default", user), offlineCopy("default", user)];
  return { user, client, here, there, things: client.bucket("default").collection("things") };
}

/** Return the same, with one record that both copies have. */
async function twoCopies(record = { n: 1 }) {
  const of = newUser();
  const { data } = await of.here.create(record);
  await of.here.sync();
  await of.there.sync();
  return { ...of, id: data.id };
}

test("the first sync of a new user finds an empty collection", async () => {
  const { client, here } = newUser();

  for (let turn = 0; turn < 3; turn++) {
    const result = await here.sync();
    assert.deepEqual([result.ok, summary(result)], [true, {}]);
  }

  const { bucket } = await client.fetchUser();
  assert.equal((await client.bucket("default").getData()).id, bucket);
  assert.deepEqual((await client.bucket(bucket).listCollections()).data.map(({ id }) => id), ["things"]);
});

test("the first syncs of two copies at once find one another's records", async () => {
  const { here, there, things } = newUser();
  await here.create({ from: "here" });
  await there.create({ from: "there" });

  const results = await Promise.all([here.sync(), there.sync()]);
  await here.sync();
  await there.sync();

  assert.deepEqual(results.map(({ ok, published }) => [ok, published.length]), [[true, 1], [true, 1]]);
  const expected = await assertSame(things, here, there);
  assert.deepEqual(Object.values(expected).map(({ from }) => from).sort(), ["here", "there"]);
});

test("edits and deletions travel both ways", async () => {
  const { things, here, there, id } = await twoCopies({ n: 1 });
  const { data: doomed } = await here.create({ doomed: true });
  await here.sync();
  await there.sync();

  await here.update({ id, n: 2 });
  await there.delete(doomed.id);
  assert.deepEqual(summary(await here.sync()), { published: 1 });
  assert.deepEqual(summary(await there.sync()), { updated: 1, published: 1 });
  assert.deepEqual(summary(await here.sync()), { deleted: 1 });

  const expected = await assertSame(things, here, there);
  assert.deepEqual(Object.values(expected).map(({ n }) => n), [2]);
});

test("a manual conflict has both versions, and is resolved by choice", async () => {
  const { things, here, there, id } = await twoCopies();
  await here.update({ id, n: "here" });
  await there.update({ id, n: "there" });
  await here.sync();

  const result = await there.sync({ strategy: MANUAL });

  assert.equal(result.ok, false);
  const [conflict] = result.conflicts;
  assert.deepEqual([conflict.local.n, conflict.remote.n], ["there", "here"]);
  await there.resolve(conflict, { ...conflict.local, n: "both" });
  assert.equal((await there.sync()).ok, true);
  await here.sync();
  assert.equal((await assertSame(things, here, there))[id].n, "both");
});

for (const [strategy, winner] of [[CLIENT_WINS, "there"], [SERVER_WINS, "here"]]) {
  test(`a conflict is resolved by ${strategy}`, async () => {
    const { things, here, there, id } = await twoCopies();
    await here.update({ id, n: "here" });
    await there.update({ id, n: "there" });
    await here.sync();

    assert.equal((await there.sync({ strategy })).ok, true);
    await here.sync();

    assert.equal((await assertSame(things, here, there))[id].n, winner);
  });
}

test("a record changed here and deleted there is a conflict", async () => {
  const { things, here, there, id } = await twoCopies();
  await here.delete(id);
  await there.update({ id, n: 2 });
  await here.sync();

  const result = await there.sync({ strategy: CLIENT_WINS });
  await here.sync();

  assert.equal(result.ok, true);
  assert.equal((await assertSame(things, here, there))[id].n, 2);
});

test("a push names the default bucket, and the pull that follows leaves it out", async () => {
  const { here } = await twoCopies();
  const { data } = await here.create({ n: 2 });

  const requests = await requestsOf(() => here.sync());

  assert.match(requests.at(-1), new RegExp(`^GET /buckets/default/collections/things/records\\?.*exclude_id=${data.id}`));
  assert.ok(requests.some((request) => request.startsWith("POST /batch")));
});

test("a copy notices that the bucket was deleted, and may publish everything in a new one", async () => {
  const { client, here, there, things, id } = await twoCopies();
  await client.deleteBucket("default");

  await assert.rejects(here.sync(), /Server has been flushed/);
  await here.resetSyncStatus();
  const result = await here.sync();

  assert.deepEqual([result.ok, summary(result)], [true, { published: 1 }]);
  assert.deepEqual((await things.listRecords()).data.map((record) => record.id), [id]);
  assert.deepEqual(Object.keys(await contents(there)), [id]);
});

test("users do not see each other's", async () => {
  const { things } = await twoCopies();
  const other = newUser();

  await other.here.sync();

  assert.equal((await things.listRecords()).data.length, 1);
  assert.deepEqual(await contents(other.here), {});
});

test("kinto-http makes a batch of creations in a bucket that is not there", async () => {
  const { client, things } = newUser();

  const answers = await client.bucket("default").batch((bucket) => {
    bucket.createCollection("things");
    const collection = bucket.collection("things");
    for (let n = 0; n < 3; n++) collection.createRecord({ n });
  });

  assert.deepEqual(answers.map(({ status }) => status), [201, 201, 201, 201]);
  assert.equal((await things.listRecords()).data.length, 3);
});
