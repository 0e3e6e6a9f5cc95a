// The hooks, in a page that is built with React's StrictMode, and on a server.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

import { launch, open, serve } from "./lib/browser.js";
import { install, tool } from "./lib/project.js";
import { Server } from "./lib/server.js";

let browser, project, server, site;

before(async () => {
  project = install("projects/react");
  for (const name of ["react", "react-dom", "scheduler"]) {
    const from = fileURLToPath(new URL(`node_modules/${name}`, import.meta.url));
    cpSync(from, join(project.folder, "node_modules", name), { recursive: true });
  }
  // In development mode, where StrictMode does everything twice.
  const words = ["build", "--logLevel=warn", "--mode=development"];
  const env = { ...process.env, NODE_ENV: "development" };
  execFileSync(tool("vite"), words, { cwd: project.folder, stdio: "inherit", env });
  const built = join(project.folder, "dist");
  [browser, server, site] = await Promise.all([launch(), Server.start(), serve(built)]);
});

after(async () => {
  await browser?.close();
  await Promise.all([server?.stop(), site?.close()]);
  project?.remove();
});

/** A page on these threads; it shows the first. */
async function openPage(threads, init) {
  const given = { url: server.url, token: await server.token(), threads: threads.join() };
  const opened = await open(browser, `${site.url}/#${new URLSearchParams(given)}`, init);
  const texts = () => opened.page.locator("p").allTextContents();
  const shows = (text) => opened.page.getByText(text, { exact: true }).first().waitFor();
  const close = async () => {
    assert.deepEqual(opened.errors, []);
    await opened.page.close();
  };
  return { ...opened, texts, shows, close };
}

test("a conversation is shown as it goes on; what has not changed is not drawn again", async () => {
  const { thread, run } = await server.thread();
  await server.publish(run, "agent_started", { agent: "a", message: "hello" });
  const { page, texts, shows, close } = await openPage([thread]);
  await shows("note: hello");
  for (const text of ["one", " two", " three"]) {
    await server.publish(run, "message_delta", { message_id: "m", text });
  }
  await shows("answer: one two three");
  assert.deepEqual(await texts(), ["note: hello", "answer: one two three"]);
  assert.deepEqual(await page.evaluate((id) => events[id], thread), [1, 2, 3, 4]);
  // StrictMode draws everything twice.
  assert.equal(await page.evaluate((key) => renders[key], `${run} 1`), 2);
  await close();
});

test("something said before there is a connection is said when there is one", async () => {
  const { thread } = await server.thread();
  const { page, shows, close } = await openPage([thread]);
  await page.waitForFunction(() => window.send);
  const sent = await page.evaluate(() => send("early"));
  await shows("said: early");
  assert.equal(sent.seq, 1);
  await close();
});

test("one conversation's events do not appear in another, however fast one changes", async () => {
  const [first, second] = [await server.thread(), await server.thread()];
  for (const [name, { run }] of Object.entries({ first, second })) {
    await server.publish(run, "agent_started", { agent: "a", message: name });
  }
  const { page, shows, texts, close } = await openPage([first.thread, second.thread]);
  await shows("note: first");
  for (let n = 0; n < 21; n++) {
    const id = n % 2 ? first.thread : second.thread;
    await page.evaluate((id) => setId(id), id);
    const shown = await page.evaluate(() => [
      document.querySelector("main").dataset.thread,
      ...[...document.querySelectorAll("p")].map(({ dataset }) => dataset.run),
    ]);
    assert.ok(shown.slice(1).every((run) => run.startsWith(shown[0])), `${shown}`);
  }
  await shows("note: second");
  await server.publish(first.run, "agent_completed", {});
  await server.publish(second.run, "custom", { name: "more", value: 1 });
  await shows("extra: more");
  assert.deepEqual(await texts(), ["note: second", "extra: more"]);
  await close();
});

test("a conversation that may not be followed says why", async () => {
  const { page, close } = await openPage(["thread_that_is_not_there"]);
  await page.locator("main[data-error=thread_not_found]").waitFor({ state: "attached" });
  await close();
});

test("what cannot be a conversation's id says so, and takes nothing else down", async () => {
  const { thread, run } = await server.thread();
  await server.publish(run, "agent_started", { agent: "a", message: "hello" });
  const { page, shows, close } = await openPage(["no id"]);
  await page.locator("main[data-error=bad_id][data-loading=false]").waitFor({ state: "attached" });
  await page.evaluate((id) => setId(id), thread);
  await shows("note: hello");
  assert.equal(await page.locator("main[data-error]").count(), 0);
  await close();
});

test("a conversation that is empty is told from one that is not there yet", async () => {
  const [full, empty] = [await server.thread(), await server.thread()];
  await server.publish(full.run, "agent_started", { agent: "a", message: "hello" });
  let letGo;
  const held = new Promise((resolve) => (letGo = resolve));
  let isAway = false;
  const sockets = [];
  const init = async (page) => {
    await page.route("**/rethread_view_bg*.wasm", (route) => held.then(() => route.continue()));
    await page.routeWebSocket(/./, (socket) => {
      if (isAway) return socket.close();
      sockets.push(socket);
      return socket.connectToServer();
    });
    await page.route(/\/(healthz|v1\/stream)/, (route) => (isAway ? route.abort() : route.continue()));
  };
  const { page, shows, close } = await openPage([full.thread], init);
  // All of it has come, and cannot be shown yet.
  await page.waitForFunction((id) => window.events?.[id]?.length === 1, full.thread);
  await page.locator("main[data-state=online][data-loading=true]").waitFor({ state: "attached" });
  letGo();
  await shows("note: hello");
  assert.equal(await page.evaluate(() => shownEmpty), false);
  await page.evaluate((id) => setId(id), empty.thread);
  await page.locator("main[data-loading=false]").waitFor({ state: "attached" });
  assert.equal(await page.evaluate(() => shownEmpty), true);
  // It is as empty while there is no connection.
  isAway = true;
  for (const socket of sockets) await socket.close();
  await page.locator("main[data-state=waiting][data-loading=false]").waitFor({ state: "attached" });
  await close();
});

test("what is on its way is shown again to who comes back, however late", async () => {
  const { thread } = await server.thread();
  let isAway = true;
  const { page, shows, close } = await openPage([thread], async (page) => {
    await page.routeWebSocket(/./, (socket) => (isAway ? socket.close() : socket.connectToServer()));
    await page.route(/\/(healthz|v1\/stream)/, (route) => (isAway ? route.abort() : route.continue()));
    // Hours may pass at once.
    await page.clock.install();
  });
  await page.waitForFunction(() => window.send);
  await page.evaluate(() => void send("in time").catch(() => {}));
  await shows("queued: in time");
  await page.evaluate(() => show(false));
  await page.locator("main").waitFor({ state: "detached" });
  await page.clock.fastForward("01:00:00");
  await page.evaluate(() => show(true));
  await shows("queued: in time");
  isAway = false;
  await page.clock.fastForward("01:00:00");
  await shows("said: in time");
  assert.equal(await page.locator("i").count(), 0);
  await close();
});

test("a component that goes and comes has missed nothing", async () => {
  const { thread, run } = await server.thread();
  await server.publish(run, "agent_started", { agent: "a", message: "hello" });
  const { page, shows, texts, close } = await openPage([thread]);
  await shows("note: hello");
  await page.evaluate(() => show(false));
  await page.locator("main").waitFor({ state: "detached" });
  await server.publish(run, "custom", { name: "meanwhile", value: 1 });
  await page.evaluate(() => show(true));
  await shows("extra: meanwhile");
  assert.deepEqual(await texts(), ["note: hello", "extra: meanwhile"]);
  await close();
});

test("on a server the hooks render an empty conversation", async () => {
  const of = (path) => pathToFileURL(join(project.folder, "node_modules", path)).href;
  const { createElement } = await import(of("react/index.js")).then((m) => m.default);
  const { renderToString } = await import(of("react-dom/server.node.js")).then((m) => m.default);
  const { RethreadProvider, useThread } = await import(of("@rethread/client/react.js"));
  const Chat = () => {
    const { view, status } = useThread("thread_x");
    return createElement("p", null, `${view.runs.length} ${status.state}`);
  };
  const page = createElement(RethreadProvider, { token: "t" }, createElement(Chat));
  assert.equal(renderToString(page), "<p>0 connecting</p>");
});
