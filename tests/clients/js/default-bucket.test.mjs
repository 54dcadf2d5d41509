// kinto.js and kinto-http.js on the default bucket: offline copies of a user's own, that nobody has made before.

import assert from "node:assert/strict";
import test from "node:test";
import {
  ACCOUNTS, assertSame, contents, httpClient, login, newAccount, newName, offlineCopy, REMOTE, requestsOf, summary,
} from "./helpers.mjs";
import { testTwoCopies, twoCopies } from "./scenarios.mjs";

/** Return two copies of the collection of a user, and clients of it. */
function copiesOf(user, remote = REMOTE) {
  const client = httpClient(user, { remote });
  const [here, there] = [offlineCopy("default", user, remote), offlineCopy("default", user, remote)];
  return { user, client, here, there, things: client.bucket("default").collection("things") };
}

/** The same for a user who has never asked for anything: of basicauth, or with an account that is made for it. */
const newUser = () => copiesOf(newName());
const newUserWithAccount = async () => copiesOf(await newAccount(), ACCOUNTS);

testTwoCopies("in the default bucket", newUser);
testTwoCopies("in the default bucket of a new account", newUserWithAccount);

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

test("a push names the default bucket, and the pull that follows leaves it out", async () => {
  const { here } = await twoCopies(newUser);
  const { data } = await here.create({ n: 2 });

  const requests = await requestsOf(() => here.sync());

  assert.match(requests.at(-1), new RegExp(`^GET /buckets/default/collections/things/records\\?.*exclude_id=${data.id}`));
  assert.ok(requests.some((request) => request.startsWith("POST /batch")));
});

test("a copy notices that the bucket was deleted, and may publish everything in a new one", async () => {
  const { client, here, there, things, id } = await twoCopies(newUser);
  await client.deleteBucket("default");

  await assert.rejects(here.sync(), /Server has been flushed/);
  await here.resetSyncStatus();
  const result = await here.sync();

  assert.deepEqual([result.ok, summary(result)], [true, { published: 1 }]);
  assert.deepEqual((await things.listRecords()).data.map((record) => record.id), [id]);
  assert.deepEqual(Object.keys(await contents(there)), [id]);
});

test("the default bucket is that of the account, whatever the password is", async () => {
  const { user, client, things, here } = await twoCopies(newUserWithAccount);
  const { bucket, id } = await client.fetchUser();
  await client.execute({
    method: "PATCH",
    path: `/accounts/${user}`,
    headers: login(user),
    body: { data: { password: "another" } },
  });
  const again = httpClient(null, { remote: ACCOUNTS, headers: login(user, "another") });

  await assert.rejects(here.sync(), /HTTP 401/);
  await assert.rejects(things.listRecords(), /HTTP 401/);
  assert.deepEqual([(await again.fetchUser()).bucket, id], [bucket, `account:${user}`]);
  assert.equal((await again.bucket("default").collection("things").listRecords()).data.length, 1);
});

test("users do not see each other's", async () => {
  const { things } = await twoCopies(newUser);
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
