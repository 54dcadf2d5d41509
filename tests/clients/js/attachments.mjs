// kinto-http.js: files of records. The server of this has the plugin.

import assert from "node:assert/strict";
import test from "node:test";
import { newCollection } from "./helpers.mjs";

const TEXT = "data:text/plain;name=test.txt;base64," + btoa("hello");
const NAMELESS = "data:text/plain;base64," + btoa("hello");
const HASH = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

test("a file is attached to a new record, and to one that is there", async () => {
  const { things } = await newCollection();

  const { data: created } = await things.addAttachment(TEXT, { id: "a", title: "A" });
  const { data: patched } = await things.addAttachment(NAMELESS, { id: "a", more: 1 }, { filename: "other.txt" });

  assert.equal(created.title, "A");
  assert.equal(created.attachment.hash, HASH);
  assert.deepEqual([created.attachment.filename, created.attachment.size], ["test.txt", 5]);
  assert.deepEqual([patched.title, patched.more, patched.attachment.filename], ["A", 1, "other.txt"]);
});

test("a record gets an id and permissions with its file", async () => {
  const { things } = await newCollection();

  const { data, permissions } = await things.addAttachment(TEXT, {}, { permissions: { read: ["system.Everyone"] } });

  assert.match(data.id, /^[0-9a-f-]{36}$/);
  assert.deepEqual(permissions.read, ["system.Everyone"]);
});

test("a file may be asked to be packed, and is not", async () => {
  const { things } = await newCollection();

  const { data } = await things.addAttachment(TEXT, { id: "a" }, { gzipped: true });

  assert.equal(data.attachment.hash, HASH);
});

test("a file is removed", async () => {
  const { things } = await newCollection();
  await things.addAttachment(TEXT, { id: "a", title: "A" });

  await things.removeAttachment("a");

  const { data } = await things.getRecord("a");
  assert.deepEqual([data.title, data.attachment], ["A", null]);
});
