// The face alone, around a driver that does what the test says: for what no server does on demand.
import assert from "node:assert/strict";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, test } from "node:test";
import { fileURLToPath } from "node:url";

const DRIVER = `
  export class Driver {
    constructor(address, seed, sink) {
      globalThis.driver = Object.assign(this, { address, sink, said: [] });
    }
    flush() {}
    page(...words) { this.said.push(["page", ...words]); }
    open(...words) { this.said.push(["open", ...words]); }
    follow(...words) { this.said.push(["follow", ...words]); }
  }
  export default async () => {};
`;

// The face imports the driver from beside it.
const folder = mkdtempSync(join(tmpdir(), "rethread-face-"));
cpSync(fileURLToPath(new URL("../../client-wasm/js", import.meta.url)), folder, { recursive: true });
writeFileSync(join(folder, "rethread.js"), DRIVER);
const { connect } = await import(join(folder, "index.js"));

after(() => rmSync(folder, { recursive: true }));

const THREAD = "thread_x";
const event = (seq) => ({ seq, type: "agent_thinking", data: { text: `${seq}` } });
/** Runs everything that waits for its turn. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

let client, sink, tokens, wishes;

beforeEach(async () => {
  tokens = [];
  wishes = [];
  client = await connect({
    url: "http://host/under/v1/ws/",
    token: (wish) => {
      wishes.push(wish);
      return new Promise((resolve, reject) => tokens.push({ resolve, reject }));
    },
  });
  ({ sink } = globalThis.driver);
});

/** Tells of events as the driver does. */
function bring(first, last, { replayed = false, epoch = "0000000a" } = {}) {
  const events = Array.from({ length: last - first + 1 }, (_, place) => event(first + place));
  sink.events(THREAD, events, epoch, first, last, replayed);
}

test("an address that names the endpoint does not name it twice", () => {
  assert.equal(globalThis.driver.address, "ws://host/under/v1/ws");
});

test("a token that comes after the next dial is not for that one", async () => {
  sink.dial(false);
  sink.dial(true);
  sink.dial(true);
  tokens[0].resolve("old");
  tokens[1].reject(new Error("no network"));
  await turn();
  const opened = () => globalThis.driver.said.filter(([what]) => what === "open");
  assert.deepEqual(opened(), []);
  tokens[2].resolve("new");
  await turn();
  assert.deepEqual(opened(), [["open", "new", false]]);
  assert.deepEqual(wishes, [{ refused: false }, { refused: true }, { refused: true }]);
});

test("a reset on a live connection is to be caught up with", async () => {
  sink.status("online", 0, 0);
  client.thread(THREAD).on("*", () => {});
  await turn();
  sink.caughtUp(THREAD);
  assert.deepEqual(client.status, { state: "online", caughtUp: true, replayed: 0 });
  sink.reset(THREAD, "0000000b", "epoch_changed");
  assert.equal(client.status.caughtUp, false);
  bring(1, 3, { replayed: true });
  assert.deepEqual(client.status, { state: "online", caughtUp: false, replayed: 3 });
  sink.caughtUp(THREAD);
  assert.deepEqual(client.status, { state: "online", caughtUp: true, replayed: 3 });
});

test("a loop that is at work when a reset comes gets the error, and then the new log", async () => {
  const thread = client.thread(THREAD);
  const events = thread.events();
  bring(1, 3);
  assert.equal((await events.next()).value.seq, 1);
  let ofHandler;
  thread.on("reset", () => (ofHandler ??= thread.events()));
  sink.reset(THREAD, "0000000b", "epoch_changed");
  bring(1, 2, { epoch: "0000000b" });
  await assert.rejects(events.next(), { code: "reset" });
  const again = thread.events();
  assert.equal((await again.next()).value.seq, 1);
  assert.equal((await again.next()).value.seq, 2);
  // The loop that a handler began was not ended by the reset that it was told of.
  assert.equal((await ofHandler.next()).value.seq, 1);
});

test("the same loop may ask again after a reset", async () => {
  const events = client.thread(THREAD).events();
  const waits = events.next();
  sink.reset(THREAD, "0000000b", "retention");
  await assert.rejects(waits, { code: "reset" });
  bring(1, 1, { epoch: "0000000b" });
  assert.equal((await events.next()).value.seq, 1);
});

test("a loop that does not begin again after a reset holds up nobody", async () => {
  const thread = client.thread(THREAD);
  const waits = thread.events().next();
  await turn();
  sink.reset(THREAD, "0000000b", "retention");
  await assert.rejects(waits, { code: "reset" });
  bring(1, 5000, { epoch: "0000000b" });
  assert.ok(!globalThis.driver.said.some(([, , how]) => how === "pause"));
  const next = thread.events().next();
  bring(5001, 5001, { epoch: "0000000b" });
  assert.equal((await next).value.seq, 5001);
});

test("after a close from within a handler nothing more is told, whatever the driver still has", async () => {
  const states = [];
  client.on("status", ({ state }) => states.push(state));
  const seen = [];
  const thread = client.thread(THREAD);
  thread.on("*", ({ seq }) => {
    seen.push(seq);
    client.close();
  });
  thread.on("*", () => seen.push("the second"));
  bring(1, 2);
  bring(3, 4);
  sink.status("closed", 0, 0, { code: "closed", message: "" });
  assert.deepEqual(seen, [1]);
  assert.deepEqual(states, ["closed"]);
  assert.equal(client.status.code, "closed");
});
