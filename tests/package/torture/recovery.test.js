// Coming back: again and again, after long, to a server that was away, to a log that is no longer whole.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Agent } from "../lib/agent.js";
import { Torture } from "../lib/torture.js";
import { until } from "../lib/until.js";

/** Events of a thread that the server keeps, where it does not keep all. */
const KEPT = 40;

let torture, server, proxy;

before(async () => {
  torture = await Torture.start({ words: ["--heartbeat", "1s"] });
  ({ server, proxy } = torture);
});

after(() => torture?.stop());

/** A thread with an agent, and a page that follows it. */
async function begin(options) {
  // Without a run that was made and never used: nothing behind one is removed.
  const { thread } = await server.post("/v1/threads", {});
  const agent = new Agent(server, thread, 3);
  const tab = await torture.open({ threads: [thread], ...options });
  await agent.publish(10);
  await tab.equals(thread);
  return { thread, agent, tab };
}

test("recovery works once but not twice", async () => {
  const { thread, agent, tab } = await begin();
  const context = tab.page.context();
  const losses = [
    () => proxy.cut(),
    () => proxy.stall(),
    async () => {
      proxy.stall();
      await agent.publish(5);
      await tab.page.waitForFunction(() => client.status.state !== "online");
      // What was held back comes after all, over a connection that is given up.
      proxy.release();
    },
    async () => {
      await context.setOffline(true);
      proxy.cut();
      await tab.page.waitForFunction(() => client.status.state === "offline");
      await agent.publish(5);
      await context.setOffline(false);
    },
    () => server.crash(),
  ];
  for (let time = 0; time < 2; time++) {
    for (const lose of losses) {
      await lose();
      await agent.publish(5);
      await tab.equals(thread);
      await tab.online();
    }
  }
  // Cut as soon as it is back, again and again.
  let cuts = 0;
  while (cuts < 3) {
    const before = await tab.page.evaluate(() => statuses.filter(({ state }) => state === "online").length);
    proxy.cut();
    cuts += 1;
    await agent.publish(1);
    await tab.page.waitForFunction(
      (before) => statuses.filter(({ state }) => state === "online").length > before,
      before,
      { timeout: 60_000 },
    );
  }
  await agent.publish(1);
  await tab.equals(thread);
  await tab.close();
});

test("recovery fails after a long connection", async () => {
  const { thread } = await server.thread();
  const agent = new Agent(server, thread, 4);
  let sockets = 0;
  let beats = 0;
  const tab = await torture.open({
    before: async (page) => {
      await page.exposeFunction("bringToken", () => server.tokenFor(4));
      page.on("websocket", (socket) => {
        sockets += 1;
        socket.on("framereceived", ({ payload }) => (beats += payload.includes('"op":"beat"') ? 1 : 0));
      });
    },
  });
  await tab.page.evaluate(async (url) => {
    client.close();
    window.brought = 0;
    const token = () => {
      brought += 1;
      return bringToken();
    };
    window.client = await connect({ url, token, tabs: false });
  }, proxy.url);
  sockets = beats = 0;
  await tab.follow(thread);
  for (let time = 1; time <= 2; time++) {
    // Longer than the token with which it began, with more than is kept in the server's memory for it.
    const before = await tab.page.evaluate(() => brought);
    await until(
      async () => {
        await agent.publish(20);
        return (await tab.page.evaluate(() => brought)) >= before + 2;
      },
      () => "two more tokens",
      60_000,
    );
    await tab.equals(thread);
    assert.equal(sockets, time, "it was one connection");
    proxy.cut();
    await agent.publish(20);
    await tab.equals(thread);
    await tab.online();
    assert.equal(sockets, time + 1);
  }
  await tab.close();
});

test("recovery fails after a server restart", async () => {
  const { thread, agent, tab } = await begin();
  const other = await torture.open({ threads: [thread] });
  for (const restart of [() => server.restart(), () => server.crash()]) {
    await restart();
    await agent.publish(5);
    await tab.equals(thread);
    // Again at once, before everybody is back; and loaded while there is no server.
    await restart();
    await server.kill();
    await other.load();
    await server.rise();
    await agent.publish(5);
    await tab.equals(thread);
    await other.equals(thread);
  }
  // Another log under the same name: what was shown is void, and the page says so.
  await server.wipe();
  await server.post("/v1/threads", { thread });
  const again = new Agent(server, thread, 5);
  await again.publish(25);
  await until(
    async () => (await tab.notes(thread)).resets.length > 0,
    () => "a reset",
  );
  await tab.equals(thread);
  assert.deepEqual((await tab.notes(thread)).resets.map(({ reason }) => reason), ["epoch_changed"]);
  await tab.close();
  await other.close();
});

test("recovery fails after retention passed", async () => {
  await server.restart([
    "--heartbeat", "1s", "--retention-events", String(KEPT), "--retention-sweep", "50ms",
  ]);
  const { thread, agent, tab } = await begin();
  const other = await torture.open({ threads: [thread], options: { cache: false } });
  await agent.end();
  await tab.equals(thread);
  await tab.kept(thread, (await tab.notes(thread)).events.length);
  // Each time so much is stored that what comes next for the pages is kept no longer.
  for (let time = 1; time <= 2; time++) {
    const { position } = await tab.notes(thread);
    for (const { page } of [tab, other]) await page.context().setOffline(true);
    proxy.cut();
    for (const { page } of [tab, other]) await page.waitForFunction(() => client.status.state === "offline");
    for (let events = 0; events < 3 * KEPT; events += 10) {
      await agent.publish(10);
      await agent.end();
    }
    await until(
      async () => {
        const { first, head } = await torture.log(thread);
        return first > position.seq + 1 && head - first + 1 <= KEPT;
      },
      () => "events removed",
    );
    // The first time one of them is loaded anew, and begins with what it has kept.
    if (time === 1) await tab.page.goto("about:blank");
    for (const { page } of [tab, other]) await page.context().setOffline(false);
    if (time === 1) await tab.load();
    for (const each of [tab, other]) {
      await each.equals(thread);
      const { resets } = await each.notes(thread);
      assert.deepEqual(resets.map(({ reason }) => reason), Array(time).fill("retention"));
    }
    await agent.publish(5);
    await agent.end();
    for (const each of [tab, other]) await each.online();
  }
  await tab.close();
  await other.close();
});
