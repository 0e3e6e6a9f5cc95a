// The face alone, around a driver that does what the test says: for what no server does on demand.
import assert from "node:assert/strict";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, test } from "node:test";
import { fileURLToPath } from "node:url";

const DRIVER = `
  export class Driver {
    constructor(seed, sink) {
      globalThis.driver = Object.assign(this, { sink, said: [] });
    }
    flush() {}
    page(...words) { this.said.push(["page", ...words]); }
    greet(...words) { this.said.push(["greet", ...words]); }
    events(...words) { this.said.push(["events", ...words]); }
    frame(...words) { this.said.push(["frame", ...words]); }
    closed(...words) { this.said.push(["closed", ...words]); }
    follow(...words) { this.said.push(["follow", ...words]); return 7; }
  }
  export default async () => {};
`;

/** Counts how often a way around what blocks WebSocket was looked for. */
const FALLBACK = `
  globalThis.detours = 0;
  const detour = async (address, open) => (globalThis.detours++, [open]);
  export const load = async () => ({ detour });
`;

/** A socket that does what the test says. */
class Socket {
  static dialled = [];
  readyState = 1;
  sent = [];
  constructor(address) {
    this.address = address;
    Socket.dialled.push(this);
  }
  send(text) {
    this.sent.push(JSON.parse(text));
  }
  close(code) {
    this.closedWith = code;
  }
}
globalThis.WebSocket = Socket;

// The face imports the driver from beside it.
const folder = mkdtempSync(join(tmpdir(), "rethread-face-"));
cpSync(fileURLToPath(new URL("../../client-wasm/js", import.meta.url)), folder, { recursive: true });
writeFileSync(join(folder, "rethread.js"), DRIVER);
writeFileSync(join(folder, "fallback.js"), FALLBACK);
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
  sink.events({ thread: THREAD, epoch, first, last, events }, 0, replayed);
}

/** What the driver was told, without what it was told of the page. */
const told = () => globalThis.driver.said.filter(([what]) => what !== "page");

test("an address that names the endpoint does not name it twice", async () => {
  sink.dial(1, false);
  await turn();
  tokens[0].resolve("token");
  await turn();
  assert.equal(Socket.dialled.at(-1).address, "ws://host/under/v1/ws");
});

test("a token that comes after the next dial is not for that one", async () => {
  const before = Socket.dialled.length;
  for (const [connection, wantsNew] of [[1, false], [2, true], [3, true]]) {
    sink.dial(connection, wantsNew);
    await turn();
  }
  tokens[0].resolve("old");
  tokens[1].reject(new Error("no network"));
  await turn();
  assert.equal(Socket.dialled.length, before);
  tokens[2].resolve("new");
  await turn();
  assert.equal(Socket.dialled.length, before + 1);
  Socket.dialled.at(-1).onopen();
  assert.deepEqual(told(), [["greet", 3, "new"]]);
  assert.deepEqual(wishes, [{ refused: false }, { refused: true }, { refused: true }]);
});

test("a socket that was given up is heard no more", async () => {
  sink.dial(1, false);
  await turn();
  tokens[0].resolve("token");
  await turn();
  const socket = Socket.dialled.at(-1);
  sink.transmit({ op: "ping" });
  assert.deepEqual(socket.sent, [{ op: "ping" }]);
  socket.onmessage({ data: "no JSON" });
  assert.deepEqual(told(), [["frame", 1, undefined]]);
  sink.disconnect(1, 1000);
  assert.deepEqual([socket.closedWith, socket.onmessage, socket.onclose], [1000, null, null]);
  sink.transmit({ op: "ping" });
  assert.equal(socket.sent.length, 1);
});

test("events go to the driver as numbers, and come back without those that were there before", async () => {
  const seen = [];
  client.thread(THREAD).onBatch((events, { first, last }) => seen.push([first, last, events.length]));
  await turn();
  sink.dial(1, false);
  await turn();
  tokens[0].resolve("token");
  await turn();
  const frame = { op: "events", thread: THREAD, epoch: "0000000a", first: 4, last: 6 };
  frame.events = [event(4), event(5), event(6)];
  Socket.dialled.at(-1).onmessage({ data: JSON.stringify(frame) });
  Socket.dialled.at(-1).onmessage({ data: JSON.stringify({ ...frame, thread: "thread_y", events: undefined }) });
  const events = told().filter(([what]) => what === "events");
  assert.deepEqual(events[0].slice(1, 7), [1, 7, 10, 4, 6, 3]);
  assert.deepEqual(events[1].slice(1, 7), [1, -1, 10, 4, 6, undefined]);
  sink.events(events[0][7], 2, false);
  assert.deepEqual(seen, [[6, 6, 1]]);
});

test("a dial without a token shows nothing of WebSocket, and the next one does", async () => {
  await import(join(folder, "fallback.js"));
  sink.dial(1, false);
  await turn();
  tokens[0].reject(new Error("no network"));
  await turn();
  sink.status("waiting", 2, 100, "failed");
  await turn();
  assert.equal(globalThis.detours, 0);
  sink.dial(2, false);
  await turn();
  tokens[1].resolve("token");
  await turn();
  // The handshake is swallowed: the driver gives it up, and no close is heard.
  sink.disconnect(2, 1000);
  sink.status("waiting", 3, 100, "timed_out");
  await turn();
  assert.equal(globalThis.detours, 1);
});

test("a token that cannot be renewed ends the client", async () => {
  client = await connect({ url: "http://host", token: "the only one" });
  ({ sink } = globalThis.driver);
  sink.dial(1, true);
  await turn();
  assert.deepEqual(told(), [["closed", 1, 1]]);
});

test("a reset on a live connection is to be caught up with", async () => {
  sink.status("online", 0, 0);
  // It had no socket.
  const online = { state: "online", transport: undefined };
  client.thread(THREAD).on("*", () => {});
  await turn();
  sink.caughtUp(THREAD);
  assert.deepEqual(client.status, { ...online, caughtUp: true, replayed: 0 });
  sink.reset(THREAD, "0000000b", "epoch_changed");
  assert.equal(client.status.caughtUp, false);
  bring(1, 3, { replayed: true });
  assert.deepEqual(client.status, { ...online, caughtUp: false, replayed: 3 });
  sink.caughtUp(THREAD);
  assert.deepEqual(client.status, { ...online, caughtUp: true, replayed: 3 });
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
