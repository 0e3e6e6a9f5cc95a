// The page's life: hidden, frozen, put away, and on a device that sleeps. Back as soon as it can be, and
// never in a storm.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { asleep, life, processOf } from "../lib/life.js";
import { Proxy } from "../lib/proxy.js";
import { Torture } from "../lib/torture.js";
import { until } from "../lib/until.js";

const HEARTBEAT_MS = 2000;

let torture, server;

before(async () => {
  torture = await Torture.start({
    words: ["--heartbeat", `${HEARTBEAT_MS}ms`],
    // Pages are put into the cache for going back, as they are for people.
    browser: { ignoreDefaultArgs: ["--disable-back-forward-cache"] },
  });
  ({ server } = torture);
});

after(() => torture?.stop());

/** Pages of one user that follow a thread, all through one proxy. */
async function begin(t, { pages = 1, options = {} } = {}) {
  const proxy = await Proxy.start(server.url, "passes");
  const { thread, run } = await server.thread();
  await server.publish(run, "agent_started", { agent: "a" });
  const context = await torture.browser.newContext();
  const tabs = [];
  for (let n = 0; n < pages; n++) {
    const tab = await torture.open({
      context,
      threads: [thread],
      options: { url: proxy.url, cache: false, ...options },
      before: async (page) => {
        await page.addInitScript(life);
        page.beats = 0;
        page.on("websocket", (socket) =>
          socket.on("framereceived", ({ payload }) => (page.beats += JSON.parse(payload).op === "beat" ? 1 : 0)),
        );
      },
    });
    await tab.equals(thread);
    tabs.push(tab);
  }
  t.after(async () => {
    for (const tab of tabs) await tab.close();
    await context.close();
    await proxy.close();
  });
  const publish = () => server.publish(run, "agent_thinking", { text: "…" });
  const connects = () => proxy.asked.filter((what) => /^(UPGRADE|POST \/v1\/stream$)/.test(what)).length;
  const states = () => tabs[0].page.evaluate(() => statuses.map(({ state, reason }) => `${state} ${reason ?? ""}`));
  return { proxy, tabs, tab: tabs[0], page: tabs[0].page, thread, publish, connects, states };
}

/** Tells how long it took until a page was online again. */
async function measured(what, tab, thread, since) {
  await tab.equals(thread);
  console.log(`${what}: online, with all, after ${Math.round(performance.now() - since)} ms`);
}

describe("the page's life", { concurrency: true }, () => {
  test("hidden tab throttled for minutes: it stays connected, though none of its timers comes", async (t) => {
    const { tab, page, thread, publish, connects } = await begin(t);
    await page.evaluate(() => life.hide());
    // The server gives up who is silent for two heartbeats.
    const before = page.beats;
    await until(() => page.beats - before >= 5, () => "five heartbeats");
    await publish();
    // Its view is made when somebody looks at it; its handlers are called.
    await until(async () => (await tab.notes(thread)).events.length === 2, () => "the event");
    assert.equal(connects(), 1, "one connection all the time");
    await page.evaluate(() => life.show());
    await publish();
    await tab.equals(thread);
    assert.equal(connects(), 1);
  });

  test("hidden tab throttled for minutes: what broke meanwhile is mended when it is looked at", async (t) => {
    const { proxy, tab, page, thread, publish, connects } = await begin(t);
    await page.evaluate(() => life.hide());
    proxy.cut();
    await until(async () => (await tab.status()).state !== "online", () => "a lost connection");
    await publish();
    assert.equal(connects(), 1, "its timers sleep");
    const since = performance.now();
    await page.evaluate(() => life.show());
    await measured("looked at again", tab, thread, since);
    assert.equal(connects(), 2, "no storm");
  });

  test("a frozen page is back when it is resumed", async (t) => {
    const { tab, page, thread, publish, connects } = await begin(t);
    await page.evaluate(() => life.freeze());
    await publish();
    const since = performance.now();
    await page.evaluate(() => life.resume());
    await measured("resumed", tab, thread, since);
    assert.ok(connects() <= 3, `${connects()} connections`);
  });

  test("bfcache: a page that is gone back to goes on where it was", async (t) => {
    const { proxy, tab, page, thread, publish, connects } = await begin(t);
    await page.evaluate(() => {
      window.shown = [];
      addEventListener("pageshow", ({ persisted }) => shown.push(persisted));
    });
    await page.goto(`${torture.siteUrl}/?another`);
    // The connection went with it, or at least nothing is heard of that page any more.
    await publish();
    const before = connects();
    const since = performance.now();
    await page.evaluate(() => void setTimeout(() => history.back()));
    await until(() => page.evaluate(() => window.shown?.length > 0).catch(() => false), () => "the page again");
    assert.deepEqual(await page.evaluate(() => shown), [true], "the same page, not loaded again");
    await measured("back from the cache", tab, thread, since);
    await publish();
    await tab.equals(thread);
    assert.ok(connects() - before <= 2, `${connects() - before} connections: ${proxy.asked.slice(before)}`);
  });

  test("a sleeping laptop: the server has given it up meanwhile", async (t) => {
    const { proxy, tab, page, thread, publish, connects } = await begin(t);
    const pid = await processOf(torture.browser, page);
    let since;
    await asleep(pid, async () => {
      await until(() => proxy.open === 0, () => "the server's end of the connection");
      await publish();
      since = performance.now();
    });
    await measured("awake", tab, thread, since);
    assert.ok(connects() <= 3, `${connects()} connections`);
  });

  test("a sleeping laptop: its timers stood still, and the clock jumps", async (t) => {
    const { proxy, tab, page, thread, publish, connects, states } = await begin(t);
    // The connection is dead, and the network says nothing of it.
    proxy.stall();
    await publish();
    await page.evaluate(() => (statuses.length = 0));
    const since = performance.now();
    await page.evaluate(() => life.sleep(3_600_000));
    await measured("awake", tab, thread, since);
    const told = await states();
    assert.ok(!told.some((text) => /silent/.test(text)), `it did not wait for the heartbeats: ${told}`);
    assert.equal(connects(), 2, "no storm");
  });

  test("clock jumps: a day that is set back or on does no harm", async (t) => {
    const { tab, page, thread, publish, connects } = await begin(t);
    for (const jump of [-86_400_000, 2 * 86_400_000, -20_000, 20_000]) {
      // The page looks at its clocks every second. What is set back is no sleep, nor is a little.
      const looks = await page.evaluate((ms) => (life.sleep(ms), life.turns[1000] ?? 0), jump);
      const hasLooked = () => page.evaluate((looks) => life.turns[1000] > looks, looks);
      await until(hasLooked, () => "a look at the clocks");
      if (jump > 30_000) await until(() => connects() === 2, () => "a sleep that is noticed");
      await publish();
      await tab.equals(thread);
    }
    assert.equal(connects(), 2, "one for the sleep, and no more");
  });

  test("the network is back: a try that hangs is given up", async (t) => {
    const { proxy, tab, page, thread, publish, connects } = await begin(t);
    proxy.mode = "hangs";
    proxy.cut();
    await until(() => connects() === 2, () => "a try that hangs");
    await publish();
    proxy.mode = "passes";
    const since = performance.now();
    const hung = await page.evaluate(() => {
      dispatchEvent(new Event("online"));
      return client.status.state;
    });
    assert.notEqual(hung, "online");
    // A try that has just begun is not given up: as often as a shaky network says so, once a second.
    const asks = setInterval(() => page.evaluate(() => void dispatchEvent(new Event("online"))).catch(() => {}), 300);
    await measured("network again", tab, thread, since).finally(() => clearInterval(asks));
    const told = await page.evaluate(() => statuses.map(({ reason }) => reason));
    assert.ok(connects() <= 5, `${connects()} connections: ${told}`);
  });
});
