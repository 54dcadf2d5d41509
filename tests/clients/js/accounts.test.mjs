// kinto-http.js, with accounts: the server is at KOBAKO_ACCOUNTS_URL.

import assert from "node:assert/strict";
import test from "node:test";
import { ACCOUNTS, httpClient, login, newName } from "./helpers.mjs";

const name = newName();

/** Return a client of the user of the account, or of nobody. */
function client(password) {
  return httpClient(null, { remote: ACCOUNTS, headers: password ? login(name, password) : {} });
}

test("an account is created, used, and given another password", async () => {
  assert.equal((await client().fetchServerCapabilities()).accounts.validation_enabled, false);
  const created = await client().createAccount(name, "first");
  const bucket = client("first").bucket(name);
  await client("first").createBucket(name);
  await client("first").execute({
    method: "PATCH",
    path: `/accounts/${name}`,
    headers: login(name, "first"),
    body: { data: { password: "second" } },
  });

  assert.equal(created.data.id, name);
  assert.deepEqual(created.permissions, { write: [`account:${name}`] });
  await assert.rejects(bucket.getData(), /HTTP 401/);
  assert.equal((await client("second").bucket(name).getData()).id, name);
  assert.equal((await client("second").fetchUser()).id, `account:${name}`);
});
