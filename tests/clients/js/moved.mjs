// An offline copy whose server moves to another database: it syncs, waits for a line on standard input, and goes on.

import assert from "node:assert/strict";
import { once } from "node:events";
import { assertSame, newCollection, offlineCopy, requestsOf, summary } from "./helpers.mjs";

const { bucketId, things } = await newCollection();
const copy = offlineCopy(bucketId);
await things.batch((batch) => {
  for (let n = 0; n < 30; n++) batch.createRecord({ id: `r${n}`, n });
});
await things.deleteRecord("r29");
const { data: own } = await copy.create({ own: true });
await copy.sync();
await copy.update({ ...own, changed: true });

console.log(bucketId);
await once(process.stdin, "data");
process.stdin.destroy();

let result;
const requests = await requestsOf(async () => (result = await copy.sync()));

// No ServerWasFlushedError; only what changed meanwhile comes, and what was changed here goes.
assert.deepEqual([result.ok, summary(result)], [true, { created: 1, updated: 1, deleted: 1, published: 1 }]);
assert.match(requests.find((each) => each.startsWith("GET") && each.includes("/records")), /_since="?\d+/);
await assertSame(things, copy);
