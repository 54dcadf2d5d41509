// kinto-http.js: the history of a bucket, and a collection as it was.

import assert from "node:assert/strict";
import test from "node:test";
import { httpClient, newCollection } from "./helpers.mjs";

test("the history is listed with filters, an order and pages", async () => {
  const { bucket, things } = await newCollection();
  await things.createRecord({ id: "a", n: 1 });
  await things.updateRecord({ id: "a", n: 2 });
  await things.deleteRecord("a");
  await bucket.createGroup("editors", ["mary"]);

  const { data: all } = await bucket.listHistory({ pages: Infinity, limit: 2 });
  const filters = { resource_name: "record", collection_id: "things", record_id: "a" };
  const { data: ofRecord } = await bucket.listHistory({ filters, sort: "last_modified" });
  const { data: later } = await bucket.listHistory({ since: String(ofRecord[2].last_modified) });

  assert.deepEqual(all.map((entry) => entry.resource_name), ["group", "record", "record", "record", "collection", "bucket"]);
  assert.deepEqual(ofRecord.map((entry) => [entry.action, entry.target.data.n]), [["create", 1], ["update", 2], ["delete", undefined]]);
  assert.deepEqual(later.map((entry) => entry.group_id), ["editors"]);
  assert.ok("history" in (await httpClient("alice").fetchServerCapabilities()));
});

test("a collection is listed as it was", async () => {
  const { things } = await newCollection();
  await things.createRecord({ id: "a", n: 1 });
  await things.createRecord({ id: "b", n: 1 });
  const { data: then, last_modified: at } = await things.listRecords();
  await things.updateRecord({ id: "a", n: 2 });
  await things.deleteRecord("b");
  await things.createRecord({ id: "c", n: 1 });

  const { data: before } = await things.listRecords({ at: Number(at) });
  const { data: now } = await things.listRecords();

  assert.deepEqual(before, then);
  assert.deepEqual(now.map(({ id, n }) => [id, n]), [["c", 1], ["a", 2]]);
});
