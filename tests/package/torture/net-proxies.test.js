// What networks do to connections between a page and its server.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Agent } from "../lib/agent.js";
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

/** A page that follows a thread through a proxy of its own, and who publishes to that. */
async function begin(t, traits = {}, mode = "passes") {
  const proxy = await Proxy.start(server.url, mode);
  Object.assign(proxy, traits);
  const { thread } = await server.thread();
  const agent = new Agent(server, thread, 7);
  await agent.publish(3);
  const beats = [];
  const tab = await torture.open({
    threads: [thread],
    options: { url: proxy.url, cache: false },
    before: (page) =>
      page.on("websocket", (socket) =>
        socket.on("framereceived", ({ payload }) => JSON.parse(payload).op === "beat" && beats.push(1)),
      ),
  });
  t.after(async () => {
    await tab.close();
    await proxy.close();
  });
  const connects = () => proxy.asked.filter((what) => /^(UPGRADE|POST \/v1\/stream$)/.test(what)).length;
  return { proxy, tab, thread, agent, beats, connects };
}

describe("networks", { concurrency: true }, () => {
  for (const mode of ["passes", "refuses"]) {
    const way = mode === "passes" ? "WebSocket" : "SSE";
    test(`a proxy that buffers: what ${way} brings is held back, and comes once and in order`, async (t) => {
      const { proxy, tab, thread, agent, connects } = await begin(t, { holdMs: 1000 }, mode);
      await tab.equals(thread);
      const before = connects();
      for (let burst = 0; burst < 5; burst++) {
        await agent.publish(40);
        const { seq } = await tab.page.evaluate((id) => notes[id].thread.send("between"), thread);
        assert.ok(seq > 0);
      }
      await tab.equals(thread);
      assert.ok(connects() - before <= 1, `${connects() - before} more connections: ${proxy.asked}`);
    });

    test(`silent stall: found on ${way} within two heartbeats, without any other sign`, async (t) => {
      const { proxy, tab, thread, agent } = await begin(t, {}, mode);
      await tab.equals(thread);
      await agent.publish(5);
      await tab.equals(thread);
      await tab.page.evaluate(() => (statuses.length = 0));
      const since = performance.now();
      proxy.stall();
      // Nothing is published, nothing is closed, nobody touches the page.
      const why = await tab.page.evaluate(
        () => new Promise((resolve) => client.on("status", ({ reason }) => reason && resolve(reason))),
      );
      const found = Math.round(performance.now() - since);
      assert.match(why, /fell silent/);
      console.log(`silent stall on ${way}: found after ${found} ms; two heartbeats are ${2 * HEARTBEAT_MS} ms`);
      await agent.publish(5);
      await tab.equals(thread);
    });
  }

  test("a proxy that cuts idle sockets: the heartbeats keep them", async (t) => {
    const { proxy, tab, thread, agent, beats, connects } = await begin(t, { idleMs: 2.5 * HEARTBEAT_MS });
    await tab.equals(thread);
    // Nothing happens in the thread for longer than the proxy has patience.
    const before = beats.length;
    await until(() => beats.length - before >= 4, () => "four heartbeats");
    await agent.publish(3);
    await tab.equals(thread);
    assert.deepEqual([proxy.idle, connects()], [0, 1], "none was cut");
  });

  test("a proxy that cuts idle sockets: sooner than any heartbeat, and nothing is missed", async (t) => {
    const { proxy, tab, thread, agent, connects } = await begin(t, { idleMs: HEARTBEAT_MS / 3 });
    for (let quiet = 0; quiet < 4; quiet++) {
      const cut = proxy.idle;
      await until(() => proxy.idle > cut, () => "a cut");
      await agent.publish(20);
      await tab.equals(thread);
    }
    assert.ok(connects() <= proxy.idle + 2, `${connects()} connections for ${proxy.idle} cuts`);
  });
});
