// What is kept in the browser: bounded, of this version, of this log; whatever goes, nothing is missing.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Agent } from "../lib/agent.js";
import { Torture } from "../lib/torture.js";
import { until } from "../lib/until.js";

const DAY_MS = 24 * 3_600_000;

let torture, server;

before(async () => {
  torture = await Torture.start();
  ({ server } = torture);
});

after(() => torture?.stop());

/** Pages of one browser, and threads that it has kept. */
async function begin(count) {
  const context = await torture.browser.newContext();
  const threads = [];
  for (let n = 0; n < count; n++) {
    const { thread } = await server.thread();
    await new Agent(server, thread, n).publish(30);
    threads.push(thread);
  }
  const tab = await torture.open({ context, threads });
  for (const thread of threads) {
    await tab.equals(thread);
    await tab.kept(thread, 30);
  }
  return { context, threads, tab };
}

/** Changes what is written about kept threads. */
const rewrite = (tab, changes) =>
  tab.page.evaluate(async (changes) => {
    const done = (request) => new Promise((resolve) => (request.onsuccess = () => resolve(request.result)));
    const [{ name }] = await indexedDB.databases();
    const database = await done(indexedDB.open(name));
    const transaction = database.transaction("threads", "readwrite");
    const store = transaction.objectStore("threads");
    for (const [thread, change] of Object.entries(changes)) {
      store.put({ ...(await done(store.get(thread))), ...change });
    }
    await new Promise((resolve) => (transaction.oncomplete = resolve));
    database.close();
  }, changes);

/** The threads of which there are rows in both stores. */
async function keptThreads(tab) {
  const [rows, chunks] = [await tab.rows("threads"), await tab.rows("chunks")];
  const names = rows.map(({ thread }) => thread).sort();
  assert.deepEqual([...new Set(chunks.map(({ thread }) => thread))].sort(), names);
  return names;
}

/** Loads the page so that it follows `threads` only, and waits until what is kept was swept. */
async function sweep(tab, threads, left) {
  tab.threads = threads;
  await tab.load();
  await until(
    async () => (await tab.rows("threads")).length === left,
    () => `${left} threads kept`,
  );
}

test("the cache: the least recently used go first, and are brought again", async () => {
  const { context, threads, tab } = await begin(4);
  const now = Date.now();
  // 50 million characters are kept at most: two of these and a small one.
  await rewrite(tab, {
    [threads[0]]: { chars: 20_000_000, used: now - 1000 },
    [threads[1]]: { chars: 20_000_000, used: now - 4000 },
    [threads[2]]: { chars: 20_000_000, used: now - 2000 },
  });
  await sweep(tab, [threads[3]], 3);
  assert.deepEqual(await keptThreads(tab), [threads[0], threads[2], threads[3]].sort());
  // One that went is whole all the same, and is kept again.
  await tab.follow(threads[1]);
  await tab.equals(threads[1]);
  assert.ok((await tab.notes(threads[1])).events.every(({ replayed }) => !replayed));
  await tab.kept(threads[1], 30);
  await tab.close();
  await context.close();
});

test("the cache: what nobody has opened for a week goes", async () => {
  const { context, threads, tab } = await begin(3);
  await rewrite(tab, {
    [threads[0]]: { used: Date.now() - 8 * DAY_MS },
    [threads[1]]: { used: Date.now() - 6 * DAY_MS },
  });
  await sweep(tab, [threads[2]], 2);
  assert.deepEqual(await keptThreads(tab), [threads[1], threads[2]].sort());
  await tab.close();
  await context.close();
});

test("the cache: another version begins anew, and an older page goes on without", async () => {
  const { context, threads: [thread], tab: old } = await begin(1);
  // A page of the next version of this package, beside one of this version.
  const next = await torture.open({
    context,
    threads: [thread],
    before: (page) =>
      page.addInitScript(() => {
        const { open } = IDBFactory.prototype;
        IDBFactory.prototype.open = function (name, version) {
          return open.call(this, name, version && version + 1);
        };
      }),
  });
  await old.page.waitForFunction(() => client.status.memoryOnly !== undefined);
  assert.match((await old.status()).memoryOnly, /newer version/);
  await next.equals(thread);
  assert.ok((await next.notes(thread)).events.every(({ replayed }) => !replayed), "all from the server");
  await next.kept(thread, 30);
  await next.load();
  await next.equals(thread);
  assert.ok((await next.notes(thread)).events.every(({ replayed }) => replayed), "all kept");
  await old.load();
  await old.equals(thread);
  await old.page.waitForFunction(() => client.status.memoryOnly !== undefined);
  await new Agent(server, thread, 9).publish(5);
  for (const tab of [old, next]) await tab.equals(thread);
  await old.close();
  await next.close();
  await context.close();
});

test("the cache: a log that was made anew wipes what is kept of the old one", async () => {
  const { context, threads: [thread, other], tab } = await begin(2);
  const { epoch } = await torture.log(thread);
  // Nobody has it open when it happens.
  await tab.close();
  await server.wipe();
  for (const id of [thread, other]) {
    await server.post("/v1/threads", { thread: id });
    // Longer than what is kept, so that a position of the old log would be one of the new.
    await new Agent(server, id, 20).publish(50);
  }
  const again = await torture.open({ context, threads: [thread] });
  await again.equals(thread);
  const { resets, events } = await again.notes(thread);
  assert.deepEqual(resets.map(({ reason, events }) => [reason, events]), [["epoch_changed", 30]]);
  assert.ok(events.every(({ replayed }) => !replayed));
  await until(
    async () => {
      const chunks = (await again.rows("chunks")).filter((chunk) => chunk.thread === thread);
      return chunks.length > 0 && chunks.every((chunk) => chunk.epoch !== epoch);
    },
    () => "nothing kept of the old log",
  );
  await again.kept(thread, 50);
  await again.load();
  await again.equals(thread);
  assert.deepEqual((await again.notes(thread)).resets, []);
  // The other's is found out when it is opened.
  await again.follow(other);
  await again.equals(other);
  assert.equal((await again.notes(other)).resets.length, 1);
  await again.close();
  await context.close();
});
