// Tabs of one user share one connection, whatever happens to the tab that has it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch, serve } from "./lib/browser.js";
import { install } from "./lib/project.js";
import { Server } from "./lib/server.js";
import { until } from "./lib/until.js";

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

/** A tab that follows the thread and notes what it receives (`window.seqs`). */
async function openTab(context, { thread, token }) {
  const page = await context.newPage();
  const tab = { page, sockets: new Set(), errors: [] };
  page.on("websocket", (socket) => {
    tab.sockets.add(socket);
    socket.on("close", () => tab.sockets.delete(socket));
  });
  page.on("pageerror", (error) => tab.errors.push(String(error)));
  await page.goto(site.url);
  await page.evaluate(`(async (given) => {
    const { connect } = await import("@rethread/client");
    window.client = await connect({ url: given.url, token: given.token });
    window.conversation = client.thread(given.thread);
    window.seqs = [];
    window.statuses = [];
    client.on("status", ({ state }) => statuses.push(state));
    conversation.on("*", ({ seq }) => seqs.push(seq));
  })(${JSON.stringify({ url: server.url, token, thread })})`);
  return tab;
}

/** Tabs of one browser on one thread; publishes to it, and compares. */
async function openTabs(count) {
  const { thread, run } = await server.thread();
  const context = await browser.newContext();
  const token = await server.token();
  const tabs = [];
  for (let n = 0; n < count; n++) tabs.push(await openTab(context, { thread, token }));
  let last = 0;
  const publish = async (type = "agent_thinking", data = { text: "…" }) =>
    (last = await server.publish(run, type, data));
  await publish("agent_started", { agent: "test" });
  const caughtUp = async (of = tabs) => {
    const all = Array.from({ length: last }, (_, n) => n + 1);
    for (const { page } of of) {
      await page.waitForFunction((last) => window.seqs.at(-1) === last, last);
      assert.deepEqual(await page.evaluate(() => window.seqs), all);
    }
  };
  const sockets = (of = tabs) => of.reduce((sum, tab) => sum + tab.sockets.size, 0);
  const shared = (of = tabs) =>
    until(() => sockets(of) === 1, () => `one socket; ${of.map((tab) => tab.sockets.size)}`);
  const leader = () => tabs.find((tab) => tab.sockets.size === 1);
  const close = async () => {
    assert.deepEqual(tabs.flatMap((tab) => tab.errors), []);
    await context.close();
  };
  return { tabs, thread, run, token, context, publish, caughtUp, shared, leader, close };
}

test("three tabs have one socket, and each sees every event once", async () => {
  const { tabs, publish, caughtUp, shared, close } = await openTabs(3);
  await shared();
  for (let n = 0; n < 20; n++) await publish();
  await caughtUp();
  // One of them asks; all see it.
  const sent = await tabs[2].page.evaluate(() => conversation.send("from a guest"));
  const own = await tabs[0].page.evaluate(() => conversation.send("from the leader"));
  assert.equal(own.seq, sent.seq + 1);
  for (const { page } of tabs) await page.waitForFunction((seq) => seqs.at(-1) === seq, own.seq);
  await close();
});

test("a leader that closes is replaced without a hole or a repeat", async () => {
  const { tabs, publish, caughtUp, shared, leader, close } = await openTabs(3);
  await shared();
  const left = [...tabs];
  while (left.length > 1) {
    await publish();
    const leading = leader();
    await leading.page.close();
    left.splice(left.indexOf(leading), 1);
    await publish();
    await caughtUp(left);
    await shared(left);
  }
  await close();
});

test("a leader that crashes is replaced", async () => {
  const { tabs, publish, caughtUp, shared, leader, close } = await openTabs(3);
  await shared();
  const leading = leader();
  const left = tabs.filter((tab) => tab !== leading);
  const session = await leading.page.context().newCDPSession(leading.page);
  session.send("Page.crash").catch(() => {});
  await new Promise((resolve) => leading.page.on("crash", resolve));
  await publish();
  await caughtUp(left);
  await shared(left);
  await close();
});

test("a tab that comes late brings nobody anything twice", async () => {
  const { tabs, thread, token, context, publish, caughtUp, shared, close } = await openTabs(2);
  for (let n = 0; n < 50; n++) await publish();
  await shared();
  tabs.push(await openTab(context, { thread, token }));
  await publish();
  await caughtUp();
  await shared();
  await close();
});

test("tabs live through a crash of the server", async () => {
  const { publish, caughtUp, shared, close } = await openTabs(3);
  await shared();
  await publish();
  await server.crash();
  await publish();
  await caughtUp();
  await shared();
  await close();
});

test("users do not share", async () => {
  const { thread } = await server.thread();
  const context = await browser.newContext();
  const token = await server.token();
  const [head, body, signature] = token.split(".");
  const claims = JSON.parse(Buffer.from(body, "base64url"));
  const other = Buffer.from(JSON.stringify({ ...claims, sub: "other" })).toString("base64url");
  const first = await openTab(context, { thread, token });
  await first.page.waitForFunction(() => client.status.state === "online");
  const second = await openTab(context, { thread, token: [head, other, signature].join(".") });
  // The signature is wrong: the server says so, whatever the first tab's connection may do.
  await second.page.waitForFunction(() => client.status.state === "closed");
  assert.equal(await second.page.evaluate(() => client.status.code), "unauthorized");
  assert.equal(await first.page.evaluate(() => client.status.state), "online");
  await context.close();
});
