// Tabs that share a connection, when what carries it stops without a word; and browsers that cannot share.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { asleep, life, processOf } from "../lib/life.js";
import { Proxy } from "../lib/proxy.js";
import { Torture } from "../lib/torture.js";
import { until } from "../lib/until.js";

const HEARTBEAT_MS = 2000;

let torture, server;

before(async () => {
  torture = await Torture.start({ words: ["--heartbeat", `${HEARTBEAT_MS}ms`] });
  ({ server } = torture);
});

after(() => torture?.stop());

/** Tabs of one user on one thread, through one proxy. */
async function begin(t, count, without) {
  const proxy = await Proxy.start(server.url, "passes");
  const { thread, run } = await server.thread();
  await server.publish(run, "agent_started", { agent: "a" });
  const context = await torture.browser.newContext();
  const tabs = [];
  for (let n = 0; n < count; n++) {
    const sockets = new Set();
    const tab = await torture.open({
      context,
      threads: [thread],
      options: { url: proxy.url, cache: false },
      before: async (page) => {
        await page.addInitScript(life);
        if (without) await page.addInitScript(without);
        page.on("websocket", (socket) => {
          sockets.add(socket);
          socket.on("close", () => sockets.delete(socket));
        });
      },
    });
    tabs.push(Object.assign(tab, { sockets }));
  }
  t.after(async () => {
    for (const tab of tabs) await tab.close();
    await context.close();
    await proxy.close();
  });
  const publish = () => server.publish(run, "agent_thinking", { text: "…" });
  const equal = (of = tabs) => Promise.all(of.map((tab) => tab.equals(thread)));
  const leaders = () => tabs.filter((tab) => tab.sockets.size > 0);
  const shared = () =>
    until(() => leaders().length === 1 && proxy.open === 1, () => `one socket: ${tabs.map((tab) => tab.sockets.size)}`);
  const others = (than) => tabs.filter((tab) => tab !== than);
  return { proxy, tabs, thread, publish, equal, shared, others, leader: () => leaders()[0] };
}

/** Puts a tab in the background. */
const hide = (tab) => tab.page.evaluate(() => life.hide());

describe("tabs", { concurrency: true }, () => {
  test("a leader that is frozen is replaced without a hole or a repeat", async (t) => {
    const { tabs, thread, publish, equal, shared, others, leader } = await begin(t, 3);
    await shared();
    await equal();
    const frozen = leader();
    const left = others(frozen);
    const pid = await processOf(torture.browser, frozen.page);
    // The browser says that it will be, and then nothing runs in it.
    await frozen.page.evaluate(() => life.freeze());
    await asleep(pid, async () => {
      await publish();
      await equal(left);
      await until(() => left.some((tab) => tab.sockets.size === 1), () => "another leader");
      const { seq } = await left[0].page.evaluate((id) => notes[id].thread.send("while it is frozen"), thread);
      assert.ok(seq > 0);
    });
    await frozen.page.evaluate(() => life.resume());
    await publish();
    await equal();
    await shared();
    assert.ok(!tabs.some(({ errors }) => errors.length > 0));
  });

  test("a leader that freezes without a word is found, and replaced without a hole or a repeat", async (t) => {
    const { publish, equal, shared, others, leader } = await begin(t, 3);
    await shared();
    await equal();
    const frozen = leader();
    const left = others(frozen);
    const pid = await processOf(torture.browser, frozen.page);
    const since = performance.now();
    await asleep(pid, async () => {
      await publish();
      await equal(left);
      console.log(`a frozen leader: replaced after ${Math.round(performance.now() - since)} ms`);
      await publish();
      await equal(left);
    });
    // It finds that another leads, and follows.
    await publish();
    await equal();
    await shared();
    assert.notEqual(leader(), frozen);
  });

  test("hidden tab throttled for minutes: also when its leader is replaced", async (t) => {
    const { proxy, thread, publish, equal, shared, others, leader } = await begin(t, 2);
    await shared();
    await equal();
    const leading = leader();
    const [hidden] = others(leading);
    await hide(hidden);
    await leading.page.close();
    await until(() => hidden.sockets.size === 1 && proxy.open === 1, () => "its own socket");
    let beats = 0;
    for (const socket of hidden.sockets) {
      socket.on("framereceived", ({ payload }) => (beats += JSON.parse(payload).op === "beat" ? 1 : 0));
    }
    const before = proxy.asked.length;
    await until(() => beats >= 5, () => "five heartbeats");
    await publish();
    // Its view is made when somebody looks at it; its handlers are called.
    await until(async () => (await hidden.notes(thread)).events.length === 2, () => "the event");
    assert.equal(proxy.asked.length, before, "one connection all the time");
    await hidden.page.evaluate(() => life.show());
    await equal([hidden]);
  });

  test("a half-open upstream below tabs, whose leader's timers sleep, is found by another tab", async (t) => {
    const { proxy, publish, equal, shared, others, leader } = await begin(t, 3);
    await shared();
    await equal();
    const leading = leader();
    await hide(leading);
    const before = proxy.asked.length;
    const since = performance.now();
    proxy.stall();
    await publish();
    await equal(others(leading));
    console.log(`a half-open socket below tabs: mended after ${Math.round(performance.now() - since)} ms`);
    await leading.page.evaluate(() => life.show());
    await equal();
    // What was given up is closed when it is answered.
    proxy.release();
    await shared();
    const tries = proxy.asked.length - before;
    assert.ok(tries <= 3, `${tries} tries`);
  });

  test("a half-open upstream below tabs is found by the tab that is looked at", async (t) => {
    const { proxy, publish, equal, shared, others, leader } = await begin(t, 2);
    await shared();
    await equal();
    const leading = leader();
    const [guest] = others(leading);
    proxy.stall();
    await guest.page.evaluate(() => (life.hide(), life.show()));
    await publish();
    await equal();
    proxy.release();
    await shared();
  });

  for (const [what, without] of [
    ["Web Locks", () => Object.defineProperty(navigator, "locks", { value: undefined })],
    ["BroadcastChannel", () => delete globalThis.BroadcastChannel],
  ]) {
    test(`missing ${what}: each tab connects for itself`, async (t) => {
      const { proxy, tabs, thread, publish, equal } = await begin(t, 2, without);
      await equal();
      await publish();
      await equal();
      for (const tab of tabs) {
        const { seq } = await tab.page.evaluate((id) => notes[id].thread.send("from each"), thread);
        assert.ok(seq > 0);
      }
      await equal();
      assert.deepEqual(tabs.map(({ sockets }) => sockets.size), [1, 1]);
      assert.equal(proxy.open, 2);
      proxy.cut();
      await publish();
      await equal();
    });
  }
});
