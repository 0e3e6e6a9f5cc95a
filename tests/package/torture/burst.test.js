// A long replay: all of it arrives, and the page lives meanwhile.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Torture } from "../lib/torture.js";

const EVENTS = 20_000;

let torture, server;

before(async () => {
  torture = await Torture.start();
  ({ server } = torture);
});

after(() => torture?.stop());

/** Put into a page: counts the turns that its other work gets, and the tasks that hold it up. */
function watch() {
  Object.assign(window, { turns: 0, seen: 0, turnsWithin: 0, long: [], start: performance.now() });
  let before = 0;
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => {
    turns += 1;
    // A turn in the middle of the replay: there were events before it, and more came after it.
    const seen = Object.values(window.notes ?? {})[0]?.events.length ?? 0;
    if (before > 0 && seen > before) turnsWithin += 1;
    before = seen;
    if (seen < 20_000) port2.postMessage(0);
  };
  port2.postMessage(0);
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) long.push(Math.round(duration));
  }).observe({ entryTypes: ["longtask"] });
}

test("a replay burst freezes or crashes the page", async () => {
  const { thread, run } = await server.thread();
  const event = (type, data) => ({ id: crypto.randomUUID(), run, type, data });
  await server.publish(run, "agent_started", { agent: "a" });
  for (let sent = 1; sent < EVENTS; sent += 1000) {
    const deltas = Array.from({ length: Math.min(1000, EVENTS - sent) }, (_, n) =>
      event("message_delta", { message_id: `m${(sent + n) >> 7}`, text: "some words of text " }),
    );
    await server.post("/v1/events", deltas);
  }
  const before = (page) => page.addInitScript(watch);
  for (const kept of [false, true]) {
    const tab = await torture.open({ threads: [thread], options: { cache: kept }, before });
    if (kept) {
      await tab.equals(thread);
      await tab.kept(thread, EVENTS);
      await tab.load();
    }
    await tab.equals(thread);
    const { turnsWithin, long, views } = await tab.page.evaluate(
      (id) => ({ turnsWithin, long, views: notes[id].views }),
      thread,
    );
    console.log(
      `${EVENTS} events from ${kept ? "the cache" : "the server"}: other work had ${turnsWithin} turns while ` +
        `they came, ${views} views, tasks over 50 ms: ${long.join(", ") || "none"}`,
    );
    // At the least one for every 1,024 events, which is what comes in a frame.
    assert.ok(turnsWithin >= EVENTS / 1024 - 2, `${turnsWithin} turns`);
    assert.ok(views > 1, "the view grew while they came");
    await tab.close();
  }
});
