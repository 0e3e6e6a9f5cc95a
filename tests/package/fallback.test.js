// Networks that block WebSocket: the same events, each once, another way; and back when it works again.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { launch, serve } from "./lib/browser.js";
import { install } from "./lib/project.js";
import { Proxy } from "./lib/proxy.js";
import { Server } from "./lib/server.js";
import { until } from "./lib/until.js";

let browser, project, site;

before(async () => {
  project = install("projects/plain");
  [browser, site] = await Promise.all([launch(), serve(project.folder)]);
});

after(async () => {
  await browser?.close();
  await site?.close();
  project?.remove();
});

/** A server behind a proxy, and a page that follows a thread through it. */
async function begin(t, mode) {
  const server = await Server.start();
  const proxy = await Proxy.start(server.url, mode);
  const context = await browser.newContext();
  const { thread, run } = await server.thread();
  const token = await server.token();
  t.after(async () => {
    await context.close();
    await proxy.close();
    await server.stop();
  });
  const errors = [];
  let last = 0;
  const open = async () => {
    const page = await context.newPage();
    page.on("pageerror", (error) => errors.push(String(error)));
    const load = async () => {
      await page.goto(site.url);
      await page.evaluate(`(async ({ thread, ...options }) => {
        const { connect } = await import("@rethread/client");
        window.client = await connect(options);
        window.conversation = client.thread(thread);
        Object.assign(window, { seqs: [], statuses: [] });
        client.on("status", (status) => statuses.push({ ...status, at: performance.now() }));
        conversation.on("*", ({ seq }) => seqs.push(seq));
      })(${JSON.stringify({ url: proxy.url, token, thread, cache: false })})`);
    };
    await load();
    const status = () => page.evaluate(() => window.client.status);
    const over = (transport) =>
      until(
        async () => (await status()).transport === transport,
        () => `online over ${transport}: ${proxy.asked.slice(-8)}`,
        60_000,
      );
    const caughtUp = async () => {
      await page.waitForFunction((last) => window.seqs.at(-1) >= last, last, { timeout: 60_000 });
      const all = Array.from({ length: last }, (_, place) => place + 1);
      assert.deepEqual(await page.evaluate(() => window.seqs), all);
    };
    return { page, load, status, over, caughtUp };
  };
  const publish = async (count = 1) => {
    for (let n = 0; n < count; n++) {
      const [type, data] =
        last === 0 ? ["agent_started", { agent: "test" }] : ["agent_thinking", { text: `größe ${n} 🎈` }];
      last = await server.publish(run, type, data);
    }
  };
  /** Publishes while `work` goes on. */
  const publishDuring = async (work) => {
    let isOver = false;
    const worked = work().finally(() => (isOver = true));
    while (!isOver) await publish();
    await worked;
  };
  await publish();
  const wasAsked = (what) => proxy.asked.filter((asked) => asked.startsWith(what)).length;
  const sent = (seq) => (last = Math.max(last, seq));
  return { server, proxy, thread, open, publish, publishDuring, wasAsked, sent, errors };
}

describe("where WebSocket is blocked", { concurrency: true }, () => {
  test("a proxy that refuses upgrades, through a crash, and back", async (t) => {
    const { server, proxy, open, publish, publishDuring, wasAsked, sent, errors } =
      await begin(t, "refuses");
    const { page, load, over, status, caughtUp } = await open();
    await over("sse");
    assert.equal(wasAsked("UPGRADE"), 2, "two tries are enough to know");
    await publish(30);
    await caughtUp();
    for (const text of ["one", "two", "three"]) {
      const { seq } = await page.evaluate((text) => conversation.send(text), text);
      sent(seq);
    }
    await caughtUp();
    const { state, transport } = await status();
    assert.deepEqual([state, transport], ["online", "sse"]);

    proxy.cut();
    await publish(5);
    await caughtUp();
    await server.crash();
    await publish(5);
    await caughtUp();

    // It is remembered: the next page does not try first.
    const before = wasAsked("UPGRADE");
    await load();
    await over("sse");
    await caughtUp();
    const known = wasAsked("UPGRADE");
    assert.equal(known, before, "no WebSocket was tried");
    // But it tries, while it works.
    await until(() => wasAsked("UPGRADE") > known, () => "another try");
    assert.equal((await status()).transport, "sse");

    await load();
    await over("sse");
    proxy.mode = "passes";
    // Each new connection tries again soon, whenever the one before it did.
    proxy.cut();
    await publishDuring(() => over("websocket"));
    await publish(10);
    await caughtUp();
    await load();
    await page.waitForFunction(() => window.client.status.state === "online");
    assert.equal((await status()).transport, "websocket", "nothing is remembered any more");
    assert.deepEqual(errors, []);
  });

  test("a proxy that passes WebSocket's handshake and nothing more", async (t) => {
    const { proxy, open, publish, publishDuring, wasAsked, errors } = await begin(t, "swallows");
    const { page, load, over, caughtUp } = await open();
    await publishDuring(() => over("sse"));
    await caughtUp();
    // A handshake is no proof that it works again.
    const before = wasAsked("UPGRADE");
    await until(() => wasAsked("UPGRADE") > before, () => "another try");
    await publish(5);
    await caughtUp();
    assert.equal(await page.evaluate(() => window.client.status.transport), "sse");
    // It is remembered: the next page does not try first.
    const known = wasAsked("UPGRADE");
    await load();
    await over("sse");
    await caughtUp();
    assert.equal(wasAsked("UPGRADE"), known, "no WebSocket was tried");
    // And back, when it works again.
    proxy.mode = "passes";
    proxy.cut();
    await publishDuring(() => over("websocket"));
    await caughtUp();
    assert.deepEqual(errors, []);
  });

  test("a proxy that buffers answers: the page says so, and does not storm", async (t) => {
    const { proxy, open, publish, wasAsked, errors } = await begin(t, "buffers");
    const { page, over, status, caughtUp } = await open();
    await until(() => wasAsked("POST /v1/stream") > 0, () => "a try without WebSocket");
    await page.waitForFunction(
      () => statuses.filter(({ reason }) => /did not answer in time/.test(reason ?? "")).length > 0,
      undefined,
      { timeout: 60_000 },
    );
    assert.notEqual((await status()).state, "online");
    const tries = wasAsked("UPGRADE") + wasAsked("POST /v1/stream");
    assert.ok(tries < 12, `${tries} tries`);
    proxy.mode = "passes";
    await over("websocket");
    await publish(5);
    await caughtUp();
    assert.deepEqual(errors, []);
  });

  test("tabs share a connection that is none of WebSocket's", async (t) => {
    const { proxy, open, publish, publishDuring, wasAsked, errors } = await begin(t, "refuses");
    const tabs = [await open()];
    await tabs[0].over("sse");
    tabs.push(await open(), await open());
    for (const tab of tabs) await tab.over("sse");
    await publish(20);
    for (const tab of tabs) await tab.caughtUp();
    // The guests ask through the leader: its stream alone stays.
    const { seq } = await tabs[2].page.evaluate(() => conversation.send("from a guest"));
    await tabs[0].page.waitForFunction((seq) => seqs.at(-1) === seq, seq);
    assert.ok(wasAsked("POST /v1/stream/") > 0);
    proxy.mode = "passes";
    // Each new connection tries again soon, whenever the one before it did.
    proxy.cut();
    await publishDuring(() => Promise.all(tabs.map((tab) => tab.over("websocket"))));
    await publish(5);
    for (const tab of tabs) await tab.caughtUp();
    assert.deepEqual(errors, []);
  });
});
