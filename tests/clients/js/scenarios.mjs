// What two offline copies of one collection go through, whosever it is: edits on both sides, conflicts, deletions.

import assert from "node:assert/strict";
import test from "node:test";
import { assertSame, CLIENT_WINS, MANUAL, SERVER_WINS, summary } from "./helpers.mjs";

/** Return two copies `here` and `there` of a new collection, as `begin` makes them, with one record that both have. */
export async function twoCopies(begin, record = { n: 1 }) {
  const of = await begin();
  const { data } = await of.here.create(record);
  await of.here.sync();
  await of.there.sync();
  return { ...of, id: data.id };
}

/** Test the syncs of two copies. `begin` returns `{ here, there, things }`: the copies, and a client of the collection. */
export function testTwoCopies(whose, begin) {
  test(`updates and deletions travel both ways: ${whose}`, async () => {
    const { things, here, there, id } = await twoCopies(begin);
    const { data: doomed } = await here.create({ doomed: true });
    await here.sync();
    await there.sync();

    await here.update({ id, n: 2 });
    await there.delete(doomed.id);
    assert.deepEqual(summary(await here.sync()), { published: 1 });
    assert.deepEqual(summary(await there.sync()), { updated: 1, published: 1 });
    assert.deepEqual(summary(await here.sync()), { deleted: 1 });
    await there.update({ id, n: 3 }, { patch: true });
    await there.sync();
    await here.sync();

    const expected = await assertSame(things, here, there);
    assert.deepEqual(Object.values(expected).map(({ n }) => n), [3]);
  });

  test(`a manual conflict is reported with both versions, and resolved by choice: ${whose}`, async () => {
    const { things, here, there, id } = await twoCopies(begin);
    await here.update({ id, n: "here" });
    await there.update({ id, n: "there" });
    await here.sync();

    const refused = await there.sync({ strategy: MANUAL });
    const [conflict] = refused.conflicts;
    await there.resolve(conflict, { ...conflict.local, n: `${conflict.local.n} and ${conflict.remote.n}` });
    const result = await there.sync();
    await here.sync();

    assert.equal(refused.ok, false);
    assert.deepEqual([conflict.type, conflict.local.n, conflict.remote.n], ["incoming", "there", "here"]);
    assert.equal(result.ok, true);
    assert.equal((await assertSame(things, here, there))[id].n, "there and here");
  });

  for (const [strategy, winner] of [[CLIENT_WINS, "there"], [SERVER_WINS, "here"]]) {
    test(`a conflict of two updates goes to ${winner} with ${strategy}: ${whose}`, async () => {
      const { things, here, there, id } = await twoCopies(begin);
      await here.update({ id, n: "here" });
      await there.update({ id, n: "there" });
      await here.sync();

      const result = await there.sync({ strategy });
      await here.sync();

      assert.equal(result.ok, true);
      assert.equal(result.resolved.length, 1);
      assert.equal((await assertSame(things, here, there))[id].n, winner);
    });
  }

  test(`a record deleted elsewhere and edited here comes back when the client wins: ${whose}`, async () => {
    const { things, here, there, id } = await twoCopies(begin);
    await here.delete(id);
    await there.update({ id, n: "kept" });
    await here.sync();

    const result = await there.sync({ strategy: CLIENT_WINS });
    await here.sync();

    assert.equal(result.ok, true);
    assert.equal((await assertSame(things, here, there))[id].n, "kept");
  });

  test(`a record edited elsewhere and deleted here keeps the edit when the server wins: ${whose}`, async () => {
    const { things, here, there, id } = await twoCopies(begin);
    await here.update({ id, n: "edited" });
    await there.delete(id);
    await here.sync();

    await there.sync({ strategy: SERVER_WINS });
    await here.sync();

    assert.equal((await assertSame(things, here, there))[id].n, "edited");
  });
}
