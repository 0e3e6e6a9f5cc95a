// What a browser keeps, and what takes it away.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Proxy } from "../lib/proxy.js";
import { Torture } from "../lib/torture.js";
import { until } from "../lib/until.js";

let torture, server;

before(async () => {
  torture = await Torture.start();
  ({ server } = torture);
});

after(() => torture?.stop());

/** A page that keeps what it follows, through a proxy of its own. */
async function begin(t, { before } = {}) {
  const proxy = await Proxy.start(server.url, "passes");
  const { thread, run } = await server.thread();
  await server.publish(run, "agent_started", { agent: "a" });
  const context = await torture.browser.newContext();
  const open = async () => {
    const tab = await torture.open({ context, threads: [thread], options: { url: proxy.url, user: "ada" } });
    t.after(() => tab.close());
    return tab;
  };
  /** A page of the same origin without the client. */
  const stranger = async () => {
    const page = await context.newPage();
    await page.goto(torture.siteUrl);
    return page;
  };
  t.after(async () => {
    await context.close();
    await proxy.close();
  });
  const name = `rethread ${proxy.url.replace("http", "ws")}/v1/ws ada`;
  await before?.({ stranger, name, context });
  const tab = await open();
  const publish = async (count = 1) => {
    const events = Array.from({ length: count }, () => ({
      id: crypto.randomUUID(), run, type: "agent_thinking", data: { text: "some words of text ".repeat(20) },
    }));
    await server.post("/v1/events", events);
  };
  return { proxy, context, open, stranger, name, tab, thread, run, publish };
}

/** Until so much of the thread is kept, as another page sees. */
const kept = (tab, page, name, seq) =>
  until(
    async () => {
      // On a busy machine a database may not open in time; the next load tries again.
      if ((await tab.status()).memoryOnly) await tab.load();
      return page.evaluate(
        async ([name, seq]) => {
          if (!(await indexedDB.databases()).some((of) => of.name === name)) return false;
          const done = (request) => new Promise((resolve) => (request.onsuccess = () => resolve(request.result)));
          const database = await done(indexedDB.open(name));
          const rows = await done(database.transaction("threads").objectStore("threads").getAll());
          database.close();
          return rows.some(({ last }) => last >= seq);
        },
        [name, seq],
      );
    },
    () => `event ${seq} kept`,
    60_000,
  );

/** Until the status says that nothing is kept, and why. */
async function inMemory(tab, why) {
  await until(async () => (await tab.status()).memoryOnly !== undefined, () => "a status that says so");
  const { memoryOnly, state } = await tab.status();
  assert.match(memoryOnly, why);
  assert.equal(state, "online", "all else goes on");
}

describe("what is kept", { concurrency: true }, () => {
  test("IndexedDB gone in the middle: another tab deletes it", async (t) => {
    const { tab, stranger, name, thread, publish, open } = await begin(t);
    await tab.equals(thread);
    const other = await stranger();
    await kept(tab, other, name, 1);
    const isBlocked = await other.evaluate(
      (name) =>
        new Promise((resolve) => {
          const request = indexedDB.deleteDatabase(name);
          request.onsuccess = () => resolve(false);
          request.onblocked = () => resolve(true);
        }),
      name,
    );
    assert.equal(isBlocked, false, "the page lets go of it");
    await publish();
    await tab.equals(thread);
    await inMemory(tab, /was deleted/);
    await publish(3);
    await tab.equals(thread);
    await tab.load();
    await tab.equals(thread);
    const late = await open();
    await late.equals(thread);
  });

  test("IndexedDB gone in the middle: it is blocked by another tab", async (t) => {
    const { tab, thread, publish } = await begin(t, {
      before: async ({ stranger, name }) => {
        // One holds it and does not let go; another has asked for it to be deleted: all others wait.
        const [holder, asker] = [await stranger(), await stranger()];
        await holder.evaluate(
          (name) => new Promise((resolve) => (indexedDB.open(name).onsuccess = ({ target }) => resolve((window.held = target.result) && 0))),
          name,
        );
        await asker.evaluate(
          (name) => new Promise((resolve) => (indexedDB.deleteDatabase(name).onblocked = () => resolve())),
          name,
        );
      },
    });
    await tab.equals(thread);
    await publish();
    await tab.equals(thread);
    await inMemory(tab, /does not open/);
  });

  test("IndexedDB gone in the middle: a newer version of the page has opened it", async (t) => {
    const { tab, stranger, name, thread, publish } = await begin(t);
    await tab.equals(thread);
    const other = await stranger();
    await kept(tab, other, name, 1);
    await other.evaluate(
      (name) => new Promise((resolve) => (indexedDB.open(name, 99).onsuccess = () => resolve())),
      name,
    );
    await publish();
    await tab.equals(thread);
    await inMemory(tab, /newer version/);
    // And one that finds it so.
    await tab.load();
    await tab.equals(thread);
    await inMemory(tab, /version/i);
  });

  test("IndexedDB gone in the middle: no room", async (t) => {
    const { tab, stranger, name, thread, publish } = await begin(t);
    await tab.equals(thread);
    await kept(tab, await stranger(), name, 1);
    // What a browser does to a transaction that has no room.
    await tab.page.evaluate(() => {
      const { put } = IDBObjectStore.prototype;
      IDBObjectStore.prototype.put = function (...told) {
        const request = put.apply(this, told);
        this.transaction.abort();
        return request;
      };
    });
    await publish(200);
    await tab.equals(thread);
    await inMemory(tab, /aborted|finished/);
    await publish(3);
    await tab.equals(thread);
    await tab.load();
    await tab.equals(thread);
  });
});

test("outbox: a message that is sent offline, with a reload and a killed server, is stored once", async (t) => {
  // The server's answers to a page that is deaf are lost.
  let isDeaf = true;
  const { proxy, tab, name, thread, run } = await begin(t, {
    before: ({ context }) =>
      context.routeWebSocket(/v1\/ws/, (socket) => {
        const onward = socket.connectToServer();
        onward.onMessage((message) => {
          if (!isDeaf || !/"op":"(sent|events)"/.test(message)) socket.send(message);
        });
      }),
  });
  const outbox = () =>
    tab.page.evaluate((id) => notes[id].thread.outbox.map(({ text, state }) => `${text} ${state}`), thread);
  const rows = () =>
    tab.page.evaluate(async (name) => {
      if (!(await indexedDB.databases()).some((of) => of.name === name)) return 0;
      const done = (request) => new Promise((resolve) => (request.onsuccess = () => resolve(request.result)));
      const database = await done(indexedDB.open(name));
      const rows = await done(database.transaction("outbox").objectStore("outbox").getAll());
      database.close();
      return rows.length;
    }, name);
  proxy.mode = "hangs";
  proxy.cut();
  await until(async () => (await tab.status()).state !== "online", () => "a lost connection");
  for (const text of ["one", "two", "three"]) {
    await tab.page.evaluate(([id, text]) => void notes[id].thread.send(text).catch(() => {}), [thread, text]);
  }
  const queued = ["one queued", "two queued", "three queued"];
  assert.deepEqual(await outbox(), queued);
  await until(async () => (await rows()) === 3, () => "three messages kept");
  await tab.load();
  await until(async () => (await outbox()).length === 3, () => "the messages of the page before");
  assert.deepEqual(await outbox(), queued);
  proxy.mode = "passes";
  const isStored = async () => (await torture.log(thread)).events.length === 4;
  await until(isStored, () => "all three in the log");
  assert.deepEqual(await outbox(), ["one sent", "two sent", "three sent"], "the page does not know");
  await server.crash();
  isDeaf = false;
  await tab.load();
  await tab.equals(thread);
  await until(async () => (await outbox()).length === 0, () => "nothing left to send");
  await server.publish(run, "agent_thinking", { text: "…" });
  await tab.equals(thread);
  const { events } = await torture.log(thread);
  const texts = events.filter(({ type }) => type === "user_message").map(({ data }) => data.text);
  assert.deepEqual(texts, ["one", "two", "three"]);
});
