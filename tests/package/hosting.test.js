// Where the package's files come from, and what a page's policy must allow.
import assert from "node:assert/strict";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { launch, open, serve } from "./lib/browser.js";
import { showsAConversation } from "./lib/chat.js";
import { install } from "./lib/project.js";
import { runInPage } from "./lib/page.js";
import { Proxy } from "./lib/proxy.js";
import { Server } from "./lib/server.js";
import { until } from "./lib/until.js";

let browser, project, server, installed;

before(async () => {
  project = install("projects/conversation");
  installed = join(project.folder, "node_modules/@rethread/client");
  [browser, server] = await Promise.all([launch(), Server.start()]);
});

after(async () => {
  await browser?.close();
  await server?.stop();
  project?.remove();
});

/** What a page's policy must allow, and nothing else; `sources` are where the server is. */
const policy = (sources) => ({
  "default-src": ["'none'"],
  "script-src": ["'self'", "'wasm-unsafe-eval'"],
  "connect-src": ["'self'", ...sources],
});

const written = (policy) => ({
  "content-security-policy": Object.entries(policy)
    .map(([directive, sources]) => [directive, ...sources].join(" "))
    .join("; "),
});

/** Both ways to a server. */
const sourcesOf = (url) => [url.replace("http", "ws"), url];

test("a strict Content-Security-Policy is no obstacle, nor is a worker under it", async () => {
  const site = await serve(project.folder, written(policy(sourcesOf(server.url))));
  for (const name of ["direct.html", "worker.html"]) {
    const { page } = await showsAConversation(browser, server, `${site.url}/${name}`);
    await page.close();
  }
  await site.close();
});

test("the same policy lets it go around what blocks WebSocket", async () => {
  const proxy = await Proxy.start(server.url, "refuses");
  const site = await serve(project.folder, written(policy(sourcesOf(proxy.url))));
  const { page } = await showsAConversation(browser, server, `${site.url}/direct.html`, {
    url: proxy.url,
    status: "online sse",
  });
  await page.close();
  await proxy.close();
  await site.close();
});

for (const [directive, place, what] of [
  ["script-src", 0, "'self'"],
  ["script-src", 1, "'wasm-unsafe-eval'"],
  ["connect-src", 0, "'self'"],
  ["connect-src", 1, "the server"],
]) {
  test(`nothing of that policy can be left out: ${directive} ${what}`, async () => {
    const less = policy([server.url.replace("http", "ws")]);
    less[directive].splice(place, 1);
    const site = await serve(project.folder, written(less));
    const about = new URLSearchParams({ url: server.url, token: "t", thread: "thread_x" });
    const { page, errors } = await open(browser, `${site.url}/direct.html#${about}`);
    const isRefused = () => errors.some((error) => /Content Security Policy/.test(error));
    await until(isRefused, () => `a refusal; ${errors}`);
    await page.close();
    await site.close();
  });
}

test("a page imports it from another origin, by a path with a version", async () => {
  const { version } = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"));
  const folder = join(project.folder, "cdn");
  const path = `npm/@rethread/client@${version}`;
  mkdirSync(join(folder, "npm/@rethread"), { recursive: true });
  cpSync(installed, join(folder, path), { recursive: true });
  const cdn = await serve(folder, { "access-control-allow-origin": "*" });
  const page = readFileSync(join(project.folder, "direct.html"), "utf8");
  const script = readFileSync(join(project.folder, "direct.js"), "utf8");
  const from = /\.\/node_modules\/@rethread\/client/;
  assert.match(script, from);
  writeFileSync(join(project.folder, "cdn.js"), script.replace(from, `${cdn.url}/${path}`));
  writeFileSync(join(project.folder, "cdn.html"), page.replace("/direct.js", "/cdn.js"));
  const site = await serve(project.folder);
  const { page: opened } = await showsAConversation(browser, server, `${site.url}/cdn.html`);
  await opened.close();
  await Promise.all([cdn.close(), site.close()]);
});

/** What `connect` takes as a source, made in the page from the file's address. */
const SOURCES = {
  "an address": "(at) => at",
  "a URL": "(at) => new URL(at)",
  "a request": "(at) => new Request(at)",
  "an answer": "async (at) => fetch(at)",
  "an answer to come": "(at) => fetch(at)",
  "an answer of an unknown type": "async (at) => new Response(await (await fetch(at)).arrayBuffer())",
  "bytes": "async (at) => (await fetch(at)).arrayBuffer()",
  "an array of bytes": "async (at) => new Uint8Array(await (await fetch(at)).arrayBuffer())",
  "a module": "async (at) => WebAssembly.compileStreaming(fetch(at))",
};

test("the WebAssembly may be elsewhere, and be given in every form that its type names", async () => {
  const files = join(project.folder, "elsewhere");
  mkdirSync(files);
  cpSync(join(installed, "rethread_bg.wasm"), join(files, "core.wasm"));
  cpSync(join(installed, "rethread_view_bg.wasm"), join(files, "view.wasm"));
  const elsewhere = await serve(files, { "access-control-allow-origin": "*" });
  // Not beside the JavaScript, where it would be found without being told.
  const bare = join(project.folder, "bare");
  const filter = (path) => !path.endsWith(".wasm");
  cpSync(installed, join(bare, "node_modules/@rethread/client"), { recursive: true, filter });
  cpSync(new URL("projects/plain/index.html", import.meta.url), join(bare, "index.html"));
  const site = await serve(bare);
  for (const [name, make] of Object.entries(SOURCES)) {
    const work = `async (connect, { url, token, thread, at }) => {
      const make = ${make};
      const [wasm, viewWasm] = await Promise.all([make(at + "/core.wasm"), make(at + "/view.wasm")]);
      const client = await connect({ url, token, wasm, viewWasm });
      return new Promise((resolve, reject) => {
        client.thread(thread).on("error", reject);
        client.thread(thread).onView(({ runs }) => resolve(runs[0].parts[0].text));
      });
    }`;
    const { thread, run } = await server.thread();
    await server.publish(run, "agent_started", { agent: "a", message: name });
    const told = { more: { thread, at: elsewhere.url } };
    const { result, close } = await runInPage({ browser, server, site }, work, told);
    assert.equal(await result, name);
    await close();
  }
  await Promise.all([elsewhere.close(), site.close()]);
});
