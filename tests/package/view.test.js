// The view: the fold of a thread's events, as a page gets it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";

import { launch, serve } from "./lib/browser.js";
import { runInPage } from "./lib/page.js";
import { install } from "./lib/project.js";
import { Server } from "./lib/server.js";

const golden = (name) =>
  JSON.parse(readFileSync(new URL(`../../shared/golden/${name}.json`, import.meta.url), "utf8"));

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

const inPage = (work, options) => runInPage({ browser, server, site }, work, options);
const event = (run, type, data) => ({ id: crypto.randomUUID(), run, type, data });

test("the golden events make the golden view, in the browser as elsewhere", async () => {
  const { page, close } = await inPage(() => {});
  const events = Object.values(golden("events")).sort((a, b) => a.seq - b.seq);
  const view = await page.evaluate(async (events) => {
    const { load } = await import("./node_modules/@rethread/client/view.js");
    const { makeView } = await load();
    return new Promise((resolve) => {
      const fold = makeView((view) => view.seq === events.at(-1).seq && resolve(view));
      for (const event of events) fold.push([event]);
    });
  }, events);
  assert.deepEqual(view, golden("view").view);
  await close();
});

test("a view follows what happens, and shares what has not changed", async () => {
  const work = async (connect, { url, token, thread }) => {
    const client = await connect({ url, token });
    const conversation = client.thread(thread);
    const before = conversation.view;
    const views = [];
    const until = (done) =>
      new Promise((resolve) => {
        const off = conversation.onView((view) => {
          views.push(view);
          if (!done(view)) return;
          off();
          resolve(view);
        });
        window.stage = (window.stage ?? 0) + 1;
      });
    const first = await until((view) => view.runs[0]?.parts.length === 2);
    const last = await until((view) => view.runs[1]?.state === "completed");
    return {
      before,
      last,
      now: conversation.view === last,
      frozen: JSON.stringify(first.runs[0].parts),
      sharesRun: last.runs[0].parts[0] === first.runs[0].parts[0],
      newText: last.runs[0].parts[1] !== first.runs[0].parts[1],
      views: views.length,
    };
  };
  const { result, page, thread, run, close } = await inPage(work);
  await page.waitForFunction(() => window.stage === 1);
  const { run: other } = await server.post(`/v1/threads/${thread}/runs`, {});
  await server.post("/v1/events", [
    event(run, "agent_started", { agent: "a", message: "hello" }),
    event(run, "message_delta", { message_id: "m", text: "one " }),
  ]);
  await page.waitForFunction(() => window.stage === 2);
  await server.post("/v1/events", [
    event(run, "message_delta", { message_id: "m", text: "two" }),
    event(other, "agent_started", { agent: "b" }),
    event(other, "agent_completed", {}),
  ]);
  const { before, last, now, frozen, sharesRun, newText } = await result;
  assert.deepEqual(before, { seq: 0, runs: [] });
  assert.ok(now && sharesRun && newText);
  assert.equal(JSON.parse(frozen)[1].text, "one ", "a view that was given is not changed");
  assert.equal(last.runs[0].parts[1].text, "one two");
  assert.equal(last.seq, 5);
  await close();
});

test("a view that is asked for late begins at the beginning, and no handler is called twice", async () => {
  const work = async (connect, { url, token, thread }) => {
    const client = await connect({ url, token });
    const conversation = client.thread(thread);
    const seqs = [];
    await new Promise((resolve) => {
      conversation.on("*", ({ seq }) => {
        seqs.push(seq);
        if (seq === 100) resolve();
      });
    });
    const view = await new Promise((resolve) => {
      conversation.onView((view) => view.seq >= 101 && resolve(view));
      window.ready = true;
    });
    return { seqs, parts: view.runs[0].parts.length, at: conversation.position.seq };
  };
  const { thread, run } = await server.thread();
  const tools = Array.from({ length: 99 }, (_, n) => event(run, "custom", { name: "n", value: n }));
  await server.post("/v1/events", [event(run, "agent_started", { agent: "a" }), ...tools]);
  const { result, page, close } = await inPage(work, { more: { thread, run } });
  await page.waitForFunction(() => window.ready);
  await server.publish(run, "custom", { name: "n", value: 99 });
  const { seqs, parts, at } = await result;
  assert.deepEqual(seqs, Array.from({ length: 101 }, (_, n) => n + 1));
  assert.deepEqual([parts, at], [100, 101]);
  await close();
});

test("a part that could not be fetched is fetched later, and nothing is missed meanwhile", async () => {
  const work = async (connect, { url, token, thread }) => {
    await new Promise((resolve) => (window.begin = resolve));
    const client = await connect({ url, token, cache: false, tabs: false });
    const conversation = client.thread(thread);
    const errors = [];
    conversation.on("error", (error) => errors.push(error.code));
    const seqs = [];
    const loop = async () => {
      for await (const { seq } of conversation.events()) if (seqs.push(seq) === 2) return;
    };
    const view = new Promise((resolve) => {
      conversation.onView((view) => view.seq === 2 && resolve(view));
    });
    await loop();
    return { errors, seqs, state: (await view).runs[0].state };
  };
  const expectedErrors = [/^failed: .*(view|loop)/, /ERR_FAILED/];
  const { result, page, run, close } = await inPage(work, { expectedErrors });
  const refusals = { "view.js": 1, "rethread_view_bg.wasm": 1, "loop.js": 2 };
  for (const name of Object.keys(refusals)) {
    await page.route(`**/${name}*`, (route) => {
      if (refusals[name] === 0) return route.continue();
      refusals[name] -= 1;
      return route.abort();
    });
  }
  await page.waitForFunction(() => window.begin);
  await page.evaluate(() => begin());
  await server.publish(run, "agent_started", { agent: "a" });
  await server.publish(run, "agent_completed", {});
  assert.deepEqual(await result, { errors: [], seqs: [1, 2], state: "completed" });
  assert.deepEqual(Object.values(refusals), [0, 0, 0]);
  await close();
});

test("handlers of views are called once a frame at most, and a long replay leaves the page alive", async () => {
  const EVENTS = 20_000;
  const { thread, run } = await server.thread();
  await server.publish(run, "agent_started", { agent: "a" });
  for (let sent = 0; sent < EVENTS; sent += 1000) {
    const deltas = Array.from({ length: 1000 }, (_, n) =>
      event(run, "message_delta", { message_id: `m${(sent + n) >> 7}`, text: "some words of text " }),
    );
    await server.post("/v1/events", deltas);
  }
  const work = async (connect, { url, token, thread }) => {
    const long = [];
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) long.push(Math.round(duration));
    }).observe({ entryTypes: ["longtask"] });
    let frames = 0;
    const count = () => {
      frames += 1;
      requestAnimationFrame(count);
    };
    requestAnimationFrame(count);
    const start = performance.now();
    const client = await connect({ url, token });
    let calls = 0;
    const view = await new Promise((resolve) => {
      client.thread(thread).onView((view) => {
        calls += 1;
        if (view.seq === 20_001) resolve(view);
      });
    });
    return {
      calls, frames, long, took: Math.round(performance.now() - start),
      text: view.runs[0].parts.reduce((sum, part) => sum + part.text.length, 0),
    };
  };
  const { result, close } = await inPage(work, { more: { thread, run } });
  const { calls, frames, long, took, text } = await result;
  console.log(`${EVENTS} events: ${took} ms, ${calls} views in ${frames} frames, long tasks ${long}`);
  assert.equal(text, EVENTS * "some words of text ".length);
  assert.ok(calls <= frames + 1, `${calls} views in ${frames} frames`);
  await close();
});
