// Many threads on one page, and many pages on one thread: each is given what is its own, and no more.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Agent } from "../lib/agent.js";
import { Torture } from "../lib/torture.js";
import { until } from "../lib/until.js";

let torture, server, proxy;

before(async () => {
  torture = await Torture.start();
  ({ server, proxy } = torture);
});

after(() => torture?.stop());

/** Threads with so many events in which agents write until `stop`. */
async function busy(count, events) {
  const threads = [];
  let isOver = false;
  const agents = [];
  for (let n = 0; n < count; n++) {
    const { thread } = await server.thread();
    const agent = new Agent(server, thread, n);
    await agent.publish(events);
    threads.push(thread);
    agents.push(agent);
  }
  const work = agents.map(async (agent) => {
    while (!isOver) await agent.publish(2);
  });
  const stop = async () => {
    isOver = true;
    await Promise.all(work);
  };
  return { threads, stop };
}

/** One chat window that shows one thread after the other, faster than the server answers; what was wrong. */
async function switchFast(threads) {
  const foreign = [];
  let shown;
  for (let turn = 0; turn < 200; turn++) {
    const id = threads[(turn * 5 + (turn % 7 === 0)) % threads.length];
    shown?.close();
    shown = client.thread(id);
    const mine = shown;
    let last = 0;
    mine.on("*", ({ run, seq }) => {
      if (!run.startsWith(`${id}_run_`)) foreign.push(`${run} in ${id}`);
      if (mine !== shown) foreign.push(`${id} at ${seq}, after ${shown.id} was opened`);
      if (seq !== last + 1) foreign.push(`${id}: ${seq} after ${last}`);
      last = seq;
    });
    mine.onView((view) => {
      if (view.runs.some((run) => !run.id.startsWith(`${id}_run_`))) foreign.push(`a view of ${id}`);
      if (mine !== shown) foreign.push(`a view of ${id}, after ${shown.id} was opened`);
    });
    // No turn, one, a frame, or until something has come.
    if (turn % 4 === 1) await new Promise((resolve) => setTimeout(resolve));
    if (turn % 4 === 2) await new Promise((resolve) => requestAnimationFrame(resolve));
    if (turn % 4 === 3) {
      await new Promise((resolve) => {
        const off = mine.on("*", () => {
          off();
          resolve();
        });
      });
    }
  }
  shown.close();
  return foreign;
}

test("one thread's events appear in another after switching fast", async () => {
  const { threads, stop } = await busy(4, 700);
  // First with nothing kept; then with what the first has left in the browser, more than comes in one slice.
  const tab = await torture.open();
  for (const isKept of [false, true]) {
    if (isKept) {
      await tab.follow(threads[0]);
      await tab.kept(threads[0], 600);
      tab.threads = [];
      await tab.load();
    }
    const foreign = await tab.page.evaluate(switchFast, threads);
    assert.deepEqual(foreign, [], isKept ? "with kept threads" : "with nothing kept");
  }
  // Two that are open at once, one of them opened and closed again and again.
  await tab.follow(threads[0]);
  for (let time = 0; time < 10; time++) {
    await tab.follow(threads[1]);
    if (time % 3 === 0) proxy.cut();
    await tab.leave(threads[1]);
  }
  await tab.follow(threads[1]);
  await stop();
  await tab.equals(threads[0]);
  await tab.equals(threads[1]);
  await tab.close();
});

test("an event after unsubscribe or close", async () => {
  const { threads, stop } = await busy(3, 30);
  const tab = await torture.open({ threads });
  for (const thread of threads) await tab.reaches(thread, 40);
  // Each way to stop: from outside and from within a handler, a handler, a thread, and at last the client.
  const counted = await tab.page.evaluate(async (threads) => {
    const late = [];
    const more = (id, count) =>
      new Promise((resolve) => {
        const start = notes[id].events.length;
        const off = notes[id].thread.on("*", () => {
          if (notes[id].events.length < start + count) return;
          off();
          resolve();
        });
      });
    const [first, second, third] = threads;
    // A handler that is taken off, from outside and from within.
    let isOff = false;
    const off = notes[first].thread.on("*", () => isOff && late.push("a handler that was taken off"));
    const offBatch = notes[first].thread.onBatch(() => isOff && late.push("onBatch that was taken off"));
    const offView = notes[first].thread.onView(() => isOff && late.push("onView that was taken off"));
    let calls = 0;
    const offWithin = notes[first].thread.on("*", () => {
      calls += 1;
      offWithin();
    });
    await more(first, 5);
    isOff = true;
    off();
    offBatch();
    offView();
    await more(first, 10);
    if (calls !== 1) late.push(`${calls} calls of a handler that took itself off`);
    // A thread that is closed, within a handler of its own.
    let isClosed = false;
    const { thread } = notes[second];
    thread.on("*", () => isClosed && late.push("a thread that was closed"));
    thread.onBatch(() => isClosed && late.push("a batch of a thread that was closed"));
    thread.onView(() => isClosed && late.push("a view of a thread that was closed"));
    await new Promise((resolve) => {
      thread.on("*", () => {
        thread.close();
        isClosed = true;
        resolve();
      });
      // For the same event it would be next.
      thread.on("*", () => isClosed && late.push("a handler behind the one that closed the thread"));
    });
    const at = notes[second].events.length;
    await more(first, 20);
    if (notes[second].events.length !== at) late.push("the thread's first handler");
    // A client that is closed, within a handler.
    await new Promise((resolve) => {
      notes[third].thread.on("*", () => {
        client.close();
        resolve();
      });
    });
    const counts = () => threads.map((id) => [notes[id].events.length, notes[id].views]);
    window.counts = counts;
    return { late, counts: counts(), states: statuses.length };
  }, threads);
  assert.deepEqual(counted.late, []);
  const heads = await Promise.all(threads.map(async (thread) => (await torture.log(thread)).head));
  // While more is stored, and the page has had its turn again and again.
  for (const [n, thread] of threads.entries()) {
    await until(async () => (await torture.log(thread)).head > heads[n] + 10, () => "more events");
  }
  await stop();
  const after = await tab.page.evaluate(() => ({ counts: counts(), states: statuses.length }));
  assert.deepEqual(after, { counts: counted.counts, states: counted.states });
  await tab.close();
});

test("two tabs, one sends", async () => {
  const { thread } = await server.thread();
  const agent = new Agent(server, thread, 7);
  const context = await torture.browser.newContext();
  const tabs = [];
  for (let n = 0; n < 2; n++) tabs.push(await torture.open({ context, threads: [thread] }));
  await agent.publish(5);
  for (const tab of tabs) await tab.equals(thread);
  const ids = [];
  const send = (tab, text) => {
    const id = crypto.randomUUID();
    ids.push(id);
    return tab.page.evaluate(
      ([thread, id, text]) => notes[thread].thread.send(text, { messageId: id }),
      [thread, id, text],
    );
  };
  const [first] = await Promise.all([send(tabs[1], "one"), agent.publish(5)]);
  // Both at once, through a cut and a crash; the tab that has the connection closes at last.
  const second = await Promise.all([send(tabs[0], "two"), send(tabs[1], "three"), proxy.cut()]);
  const third = await Promise.all([send(tabs[0], "four"), send(tabs[1], "five"), server.crash()]);
  for (const tab of tabs) await tab.equals(thread);
  await tabs[0].close();
  const last = await send(tabs[1], "six");
  await tabs[1].equals(thread);
  const { events } = await torture.log(thread);
  const said = events.filter(({ type }) => type === "user_message");
  assert.deepEqual(said.map(({ data }) => data.text).sort(), ["five", "four", "one", "six", "three", "two"]);
  assert.deepEqual(said.map(({ data }) => data.message_id).sort(), [...ids].sort());
  for (const { seq, messageId } of [first, second[0], second[1], third[0], third[1], last]) {
    assert.equal(events[seq - 1].data.message_id, messageId);
  }
  assert.deepEqual(await tabs[1].page.evaluate((id) => notes[id].thread.outbox, thread), []);
  await tabs[1].close();
  await context.close();
});
