// What a browser keeps between two loads of a page: events, and what is still to be done.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch, serve } from "./lib/browser.js";
import { install } from "./lib/project.js";
import { Server } from "./lib/server.js";
import { until } from "./lib/until.js";

let browser, project, server, site;

before(async () => {
  project = install("projects/plain");
  [browser, server, site] = await Promise.all([launch(), Server.start(), serve(project.folder)]);
});

after(async () => {
  await browser?.close();
  await Promise.all([server?.stop(), site?.close()]);
  project?.remove();
});

/** A page that can be reloaded; `received` are the events that the server has sent since. */
async function openPage({ thread, options = {}, init } = {}) {
  const context = await browser.newContext();
  const page = await context.newPage();
  const of = { page, context, errors: [], received: [] };
  if (init) await page.addInitScript(init);
  page.on("pageerror", (error) => of.errors.push(String(error)));
  page.on("websocket", (socket) =>
    socket.on("framereceived", ({ payload }) => {
      const frame = JSON.parse(payload);
      if (frame.op === "events") of.received.push(...frame.events.map(({ seq }) => seq));
    }),
  );
  const token = await server.token();
  of.load = async (more = {}) => {
    of.received.length = 0;
    await page.goto(site.url);
    const given = { url: server.url, token, thread, ...options, ...more };
    await page.evaluate(`(async ({ thread, ...options }) => {
      const start = performance.now();
      const { connect } = await import("@rethread/client");
      window.client = await connect(options);
      window.conversation = client.thread(thread);
      Object.assign(window, { seen: [], resets: [], since: () => performance.now() - start });
      conversation.on("reset", ({ reason }) => resets.push(reason));
      conversation.on("*", ({ seq, replayed = false }) => seen.push([seq, replayed]));
      conversation.onView((view) => (window.painted ??= { seq: view.seq, at: since() }));
    })(${JSON.stringify(given)})`);
  };
  of.seen = (seq) => page.waitForFunction((seq) => window.seen.at(-1)?.[0] === seq, seq);
  /** All rows of a store of the page's database. */
  of.rows = (store) =>
    page.evaluate(async (store) => {
      const [of] = await indexedDB.databases();
      if (!of) return [];
      const done = (request) => new Promise((resolve) => (request.onsuccess = () => resolve(request.result)));
      const database = await done(indexedDB.open(of.name));
      const rows = await done(database.transaction(store).objectStore(store).getAll());
      database.close();
      return rows;
    }, store);
  /** Until everything up to `seq` is kept. */
  of.kept = (seq) =>
    until(async () => (await of.rows("threads")).some(({ last }) => last >= seq), () => `${seq} kept`);
  of.close = async () => {
    assert.deepEqual(of.errors, []);
    await context.close();
  };
  await of.load();
  return of;
}

/** Cuts a page off from the server while `isAway()`: from its WebSockets and from what stands in for them. */
async function cutOff(context, isAway) {
  await context.routeWebSocket(/./, (socket) => (isAway() ? socket.close() : socket.connectToServer()));
  await context.route(/\/(healthz|v1\/stream)/, (route) => (isAway() ? route.abort() : route.continue()));
}

const upTo = (last) => Array.from({ length: last }, (_, n) => n + 1);
const event = (run, type, data) => ({ id: crypto.randomUUID(), run, type, data });

async function publishMany(run, count) {
  await server.publish(run, "agent_started", { agent: "a" });
  for (let sent = 1; sent < count; sent += 1000) {
    const texts = Array.from({ length: Math.min(1000, count - sent) }, (_, n) =>
      event(run, "message_delta", { message_id: `m${(sent + n) >> 7}`, text: "some words of text " }),
    );
    await server.post("/v1/events", texts);
  }
}

test("a reload shows what there was at once, and asks for what is new only", async () => {
  const { thread, run } = await server.thread();
  await publishMany(run, 100);
  const { page, load, seen, kept, received, close } = await openPage({ thread });
  await seen(100);
  await kept(100);
  await load();
  await seen(100);
  await server.publish(run, "agent_thinking", { text: "new" });
  await seen(101);
  assert.deepEqual(received, [101], "only the new event came from the server");
  const all = await page.evaluate(() => seen);
  assert.deepEqual(all.map(([seq]) => seq), upTo(101));
  assert.deepEqual(all.filter(([, replayed]) => !replayed), [[101, false]]);
  await close();
});

test("a thread of 20,000 events is painted from what is kept, without a byte of it from the server", async () => {
  const EVENTS = 20_000;
  const { thread, run } = await server.thread();
  await publishMany(run, EVENTS);
  const { page, load, seen, kept, received, close } = await openPage({ thread });
  await seen(EVENTS);
  await kept(EVENTS);
  await load();
  await seen(EVENTS);
  const { painted, all } = await page.evaluate(() => ({ painted, all: since() }));
  await page.waitForFunction(() => client.status.caughtUp);
  assert.deepEqual(received, []);
  console.log(
    `reload of ${EVENTS} events: first paint after ${Math.round(painted.at)} ms (up to ${painted.seq}), ` +
      `all after ${Math.round(all)} ms, 0 events from the server`,
  );
  await close();
});

test("what is kept is shown while the server is away", async () => {
  const { thread, run } = await server.thread();
  await publishMany(run, 10);
  const { page, context, load, seen, kept, close } = await openPage({ thread });
  await seen(10);
  await kept(10);
  await cutOff(context, () => true);
  await load();
  await seen(10);
  assert.notEqual(await page.evaluate(() => client.status.state), "online");
  await close();
});

test("nobody sees what another user's page has kept, and forget() deletes it", async () => {
  const { thread, run } = await server.thread();
  await publishMany(run, 10);
  const { page, context, load, seen, kept, close } = await openPage({ thread });
  await seen(10);
  await kept(10);
  await cutOff(context, () => true);
  await load({ user: "somebody else" });
  await page.waitForFunction(() => client.status.state === "waiting");
  assert.deepEqual(await page.evaluate(() => seen), []);
  await load();
  await seen(10);
  await page.evaluate(() => client.forget());
  await load();
  await page.waitForFunction(() => client.status.state === "waiting");
  assert.deepEqual(await page.evaluate(() => seen), []);
  await close();
});

test("a message that waits outlives a reload, and is stored once", async () => {
  const { thread } = await server.thread();
  const { page, context, load, rows, close } = await openPage({ thread });
  await page.waitForFunction(() => client.status.state === "online");
  let isAway = true;
  await cutOff(context, () => isAway);
  await load();
  await page.evaluate(() => {
    window.first = conversation.send("first");
    window.second = conversation.send("second");
    for (const sending of [first, second]) sending.catch(() => {});
  });
  const states = () => page.evaluate(() => conversation.outbox.map(({ text, state }) => [text, state]));
  assert.deepEqual(await states(), [["first", "queued"], ["second", "queued"]]);
  await until(async () => (await rows("outbox")).length === 2, () => "two messages kept");
  isAway = false;
  await load();
  await page.waitForFunction(() => seen.length === 2);
  assert.deepEqual(await states(), []);
  // And once more: nothing is left to be sent.
  await load();
  await page.waitForFunction(() => client.status.caughtUp);
  const { events } = await server.get(`/v1/threads/${thread}/events`);
  assert.deepEqual(events.map(({ data }) => data.text), ["first", "second"]);
  await close();
});

test("without IndexedDB everything works in memory, and the status says so", async () => {
  const { thread, run } = await server.thread();
  const { page, seen, close } = await openPage({
    thread,
    init: () => Object.defineProperty(globalThis, "indexedDB", { value: undefined }),
  });
  await server.publish(run, "agent_started", { agent: "a" });
  await seen(1);
  await page.waitForFunction(() => client.status.memoryOnly !== undefined);
  assert.match(await page.evaluate(() => client.status.memoryOnly), /IndexedDB/);
  await server.publish(run, "agent_completed", {});
  await seen(2);
  await close();
});

test("a database that goes away in the middle costs nothing but what it kept", async () => {
  const { thread, run } = await server.thread();
  await publishMany(run, 10);
  const { page, load, seen, kept, close } = await openPage({ thread });
  await seen(10);
  await kept(10);
  await page.evaluate(async () => {
    for (const { name } of await indexedDB.databases()) {
      await new Promise((resolve) => {
        indexedDB.deleteDatabase(name).onsuccess = resolve;
      });
    }
  });
  await server.publish(run, "agent_thinking", { text: "on" });
  await seen(11);
  await page.waitForFunction(() => client.status.memoryOnly !== undefined);
  await load();
  await seen(11);
  assert.deepEqual((await page.evaluate(() => seen)).map(([seq]) => seq), upTo(11));
  await close();
});
