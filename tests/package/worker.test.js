// The package in workers: what it keeps, and what it shares, is there as in pages.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch, serve } from "./lib/browser.js";
import { shows, showsAConversation } from "./lib/chat.js";
import { keptOf } from "./lib/kept.js";
import { install } from "./lib/project.js";
import { Server } from "./lib/server.js";
import { until } from "./lib/until.js";

let browser, project, server, site;

before(async () => {
  project = install("projects/conversation");
  [browser, server, site] = await Promise.all([launch(), Server.start(), serve(project.folder)]);
});

after(async () => {
  await browser?.close();
  await Promise.all([server?.stop(), site?.close()]);
  project?.remove();
});

test("a worker's thread is there at once after a reload, and what it had is marked", async () => {
  const { page, thread, run } = await showsAConversation(browser, server, `${site.url}/worker.html`);
  await until(async () => (await keptOf(page, thread)) === 3, () => "three events are kept");
  assert.deepEqual(await page.evaluate(() => told.statuses.filter(({ memoryOnly }) => memoryOnly)), []);
  await server.publish(run, "message_delta", { message_id: "m", text: ", new" });
  await page.reload();
  await shows(page, [], { seqs: "1 2 3 4", answer: "early, live, new", status: "online websocket" });
  const replayed = await page.evaluate(() => told.events.map(({ replayed = false }) => replayed));
  assert.deepEqual(replayed, [true, true, true, false]);
  await page.close();
});

test("workers of two pages share one connection, and one that ends leaves the other its own", async () => {
  const { thread, run } = await server.thread();
  const about = new URLSearchParams({ url: server.url, token: await server.token(), thread });
  const context = await browser.newContext();
  const openConnections = async () => {
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    return Number(metrics.match(/^rethread_connections\{transport="websocket"\} (\d+)$/m)[1]);
  };
  const only = (count) => until(async () => (await openConnections()) === count, () => `${count} connections`);
  await only(0);
  const pages = [];
  for (const _ of [1, 2]) {
    const page = await context.newPage();
    await page.goto(`${site.url}/worker.html#${about}`);
    pages.push(page);
  }
  await server.publish(run, "agent_started", { agent: "test" });
  for (const page of pages) await shows(page, [], { seqs: "1", status: "online websocket" });
  await only(1);
  // The first to come has the connection; the other takes it up.
  await pages[0].evaluate(() => worker.terminate());
  await server.publish(run, "agent_thinking", { text: "…" });
  await shows(pages[1], [], { seqs: "1 2", status: "online websocket" });
  await only(1);
  await context.close();
});
