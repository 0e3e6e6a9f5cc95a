// What a thread shows when the same events come more than once, early, or all at one time.
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

const event = (run, type, data) => ({ id: crypto.randomUUID(), run, type, data });

/** The answer's text, as the page shows it. */
const shown = (view) => view.runs.flatMap(({ parts }) => parts.map(({ text }) => text ?? "")).join("");

test("replay twice stacks the text", async () => {
  const { thread, run } = await server.thread();
  await server.publish(run, "agent_started", { agent: "a" });
  const pieces = Array.from({ length: 300 }, (_, n) => `piece ${n} `);
  await server.post(
    "/v1/events",
    pieces.map((text) => event(run, "message_delta", { message_id: "m", text })),
  );
  const tab = await torture.open({ threads: [thread], options: { cache: false } });
  await tab.equals(thread);
  // The server is asked for everything again, with no position: by another thread object on the same page,
  // by a view that is asked for again, and after each cut.
  for (let time = 0; time < 3; time++) {
    await tab.page.evaluate((id) => {
      leave(id);
      follow(id);
    }, thread);
    proxy.cut();
    await tab.equals(thread);
    assert.equal(shown((await tab.notes(thread)).view), pieces.join(""));
  }
  await tab.close();
});

test("replay twice stacks the text: frames that come twice are dropped", async () => {
  const { thread, run } = await server.thread();
  // Each frame with events is brought twice, and the first of all again at the end.
  let frames = 0;
  const tab = await torture.open({
    threads: [thread],
    options: { cache: false },
    before: (page) =>
      page.routeWebSocket(/v1\/ws/, (socket) => {
        const onward = socket.connectToServer();
        let first;
        onward.onMessage((message) => {
          socket.send(message);
          if (!message.includes('"op":"events"')) return;
          frames += 1;
          first ??= message;
          socket.send(message);
          socket.send(first);
        });
      }),
  });
  await server.publish(run, "agent_started", { agent: "a" });
  for (let n = 0; n < 30; n++) {
    await server.publish(run, "message_delta", { message_id: "m", text: `piece ${n} ` });
  }
  await tab.equals(thread);
  assert.ok(frames >= 2, `${frames} frames`);
  await tab.close();
});

test("a continuation repeats", async () => {
  const { thread, run } = await server.thread();
  const deltas = Array.from({ length: 20 }, (_, n) =>
    event(run, "message_delta", { message_id: "m", text: `piece ${n} ` }),
  );
  const text = deltas.map(({ data }) => data.text).join("");
  const tab = await torture.open({ threads: [thread] });
  await server.publish(run, "agent_started", { agent: "a" });
  await server.post("/v1/events", deltas.slice(0, 10));
  await tab.equals(thread);
  await server.crash();
  // The agent does not know how far it got, and sends again from before that, as does every agent that lives
  // through a restart of its own; the page reloads in between.
  await server.post("/v1/events", deltas.slice(4, 14));
  await tab.load();
  await server.post("/v1/events", deltas.slice(0, 20));
  await server.publish(run, "agent_completed", {});
  await tab.equals(thread);
  const { events, view } = await tab.notes(thread);
  assert.equal(shown(view), text);
  assert.equal(events.length, 22);
  await tab.close();
});

test('the page stays "streaming" after the end', async () => {
  const endings = [
    ["completed", (run) => server.publish(run, "agent_completed", {})],
    ["failed", (run) => server.publish(run, "agent_failed", { code: "tired", message: "no more" })],
    ["cancelled", (run, tab, thread) =>
      tab.page.evaluate(([thread, run]) => notes[thread].thread.cancel(run), [thread, run])],
  ];
  for (const [state, end] of endings) {
    const { thread, run } = await server.thread();
    const tab = await torture.open({ threads: [thread] });
    await server.publish(run, "agent_started", { agent: "a" });
    await server.publish(run, "tool_executing", { call_id: "c", tool: "search" });
    await server.publish(run, "message_delta", { message_id: "m", text: "half a sent" });
    await tab.equals(thread);
    assert.equal((await tab.notes(thread)).view.runs[0].state, "running");
    // The end comes while the page is cut off.
    if (state === "cancelled") await end(run, tab, thread);
    else {
      await server.kill();
      await tab.page.waitForFunction(() => client.status.state !== "online");
      await server.rise();
      await end(run);
    }
    await tab.equals(thread);
    const live = await tab.notes(thread);
    assert.equal(live.view.runs[0].state, state);
    assert.ok(live.view.runs[0].ended_at > 0);
    // As after a reload.
    await tab.load();
    await tab.equals(thread);
    assert.deepEqual((await tab.notes(thread)).view, live.view);
    await tab.close();
  }
});

test("a live event before the subscription's answer", async () => {
  const { thread, run } = await server.thread();
  await server.publish(run, "agent_started", { agent: "a" });
  // The answer to `subscribe` is held back until an event has come that was published later, and what comes
  // before the answer is not delivered, nor lost.
  let held, ahead = 0;
  const tab = await torture.open({
    threads: [thread],
    options: { cache: false, tabs: false },
    before: (page) =>
      page.routeWebSocket(/v1\/ws/, (socket) => {
        const onward = socket.connectToServer();
        onward.onMessage((message) => {
          if (held === undefined && message.includes('"op":"subscribed"')) {
            held = () => {
              socket.send(message);
              held = null;
            };
          } else {
            if (held && message.includes('"text":"live"')) ahead += 1;
            socket.send(message);
          }
        });
      }),
  });
  await until(() => held, () => "the server's answer");
  await server.publish(run, "agent_thinking", { text: "live" });
  await until(() => ahead > 0, () => "a live event before the answer");
  assert.deepEqual((await tab.notes(thread)).events, []);
  held();
  await server.publish(run, "agent_thinking", { text: "more" });
  await tab.equals(thread);
  await tab.close();
});

test("duplicates within one millisecond", async () => {
  const { thread, run } = await server.thread();
  const tab = await torture.open({ threads: [thread] });
  await server.publish(run, "agent_started", { agent: "a" });
  // The same text at the same time is not the same event: only ids tell.
  const at = Date.now();
  const twins = Array.from({ length: 50 }, () => ({
    ...event(run, "message_delta", { message_id: "m", text: "ha" }), at,
  }));
  // The same event, however many send it at once, is one.
  const answers = await Promise.all(
    Array.from({ length: 4 }, () => server.post("/v1/events", [...twins, ...twins])),
  );
  const stored = answers.flatMap(({ results }) => results.filter(({ duplicate }) => !duplicate));
  assert.equal(stored.length, twins.length);
  const agent = new Agent(server, thread, 1);
  await agent.publish(20);
  await tab.equals(thread);
  const { view } = await tab.notes(thread);
  assert.equal(view.runs[0].parts[0].text, "ha".repeat(twins.length));
  await tab.close();
});
