// docs/guide.md: every block of code is compiled and run, against a real server, in a real browser.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";

import { build } from "esbuild";

import { launch, open, serve } from "./lib/browser.js";
import { keptOf } from "./lib/kept.js";
import { install, tool } from "./lib/project.js";
import { Server } from "./lib/server.js";
import { until } from "./lib/until.js";

const GUIDE = readFileSync(new URL("../../docs/guide.md", import.meta.url), "utf8");
/** What stands in the guide for the server, and for where the package comes from. */
const SERVER = /127\.0\.0\.1:4242/g;
const CDN = /https:\/\/cdn\.jsdelivr\.net\/npm\/@rethread\/client@([^/]+)/g;
/** The thread of the guide's pages. */
const THREAD = "thread_first";
/** How far a size may be from what is written, as a part of it. */
const SIZE_TOLERANCE = 0.1;
const SECRET = "a secret of 32 bytes for the tests.";

/** The blocks by their names: "```ts name.ts". Shell blocks are run by tests/tests/documents.rs. */
const blocks = new Map();
for (const [, info, text] of GUIDE.matchAll(/^```(\S.*)\n([^]*?)^```$/gm)) {
  const [language, name] = info.split(" ");
  if (language === "sh") continue;
  assert.ok(name, `a block of ${language} has no name`);
  assert.ok(!blocks.has(name), `two blocks are ${name}`);
  blocks.set(name, text);
}
const used = new Set();

let browser, installed, project, server, site;

/** A block, which counts as run from now on. */
function block(name) {
  used.add(name);
  assert.ok(blocks.has(name), `there is no block ${name}`);
  return blocks.get(name).replace(SERVER, new URL(server.url).host);
}

before(async () => {
  project = install("projects/guide");
  installed = join(project.folder, "node_modules/@rethread/client");
  for (const name of ["react", "react-dom", "scheduler", "@types/react", "csstype", "esbuild", "@esbuild"]) {
    const to = join(project.folder, "node_modules", name);
    mkdirSync(dirname(to), { recursive: true });
    symlinkSync(fileURLToPath(new URL(`node_modules/${name}`, import.meta.url)), to);
  }
  const built = join(project.folder, "built");
  cpSync(installed, built, { recursive: true, filter: (path) => path === installed || path.endsWith(".wasm") });
  process.env.RETHREAD_SECRET = SECRET;
  [browser, server, site] = await Promise.all([launch(), Server.start(), serve(project.folder)]);
  await server.post("/v1/threads", { thread: THREAD });
  writeFileSync(join(project.folder, "token"), await server.token());
});

after(async () => {
  await browser?.close();
  await Promise.all([server?.stop(), site?.close()]);
  project?.remove();
});

const write = (name, text) => writeFileSync(join(project.folder, name), text);

/** Bundles a file of the project to `built/`, where the WebAssembly is, too. */
function bundle(file) {
  return build({
    absWorkingDir: project.folder,
    entryPoints: [file],
    outdir: join(project.folder, "built"),
    bundle: true,
    format: "esm",
    jsx: "automatic",
    define: { "process.env.NODE_ENV": '"development"' },
    logLevel: "warning",
  });
}

/** A page in which `work(module, connect, given, element)` is run with what a file exports. */
async function openWith(file, work, more = {}) {
  await bundle(file);
  const { page, errors } = await open(browser, `${site.url}/frame.html`);
  const given = { url: server.url, token: await server.token(), ...more };
  const script = `/built/${file.replace(/\.tsx?$/, ".js")}`;
  const begin = () =>
    page.evaluate(`(async () => {
      const { connect } = await import("@rethread/client");
      const element = document.querySelector("#element");
      await (${work})(await import("${script}"), connect, ${JSON.stringify(given)}, element);
    })()`);
  await begin();
  const close = async (expected) => {
    assert.deepEqual(errors.filter((error) => !expected?.test(error)), []);
    await page.close();
  };
  return { page, begin, close };
}

/** A run in a thread, which says things; gives what to say more with. */
async function runIn(thread = THREAD) {
  const { run } = await server.post(`/v1/threads/${thread}/runs`, {});
  await server.publish(run, "agent_started", { agent: "test" });
  const say = (text) => server.publish(run, "message_delta", { message_id: "m", text });
  return { say, end: () => server.publish(run, "agent_completed", {}) };
}

/** A thread of its own with a run in it. */
async function newThread() {
  const { thread } = await server.post("/v1/threads", {});
  return { thread, ...(await runIn(thread)) };
}

const textOf = (page, at) => page.locator(at).allTextContents();
const shows = (page, at, wanted) =>
  until(async () => wanted.test((await textOf(page, at)).join("|")), () => `${at}: ${wanted}`);

test("everything that is TypeScript compiles strictly", () => {
  const files = [...blocks.keys()].filter((name) => /\.tsx?$/.test(name));
  assert.ok(files.length > 5);
  for (const name of files) write(name, blocks.get(name));
  let said = "";
  try {
    execFileSync(tool("tsc"), ["--project", project.folder], { encoding: "utf8" });
  } catch (error) {
    said = error.stdout + error.stderr;
  }
  assert.equal(said, "");
});

test("the first page shows what an agent says, before and after a restart", async () => {
  const { version } = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"));
  const page = block("first.html");
  assert.deepEqual([...page.matchAll(CDN)].map(([, version]) => version), [version]);
  write("first.html", page.replace(CDN, `${site.url}/node_modules/@rethread/client`));
  const { say, end } = await runIn();
  await say("A place ");
  const opened = await open(browser, `${site.url}/first.html`);
  await shows(opened.page, "#answer", /^A place $/);
  await server.crash();
  await say("in a log.");
  await shows(opened.page, "#answer", /^A place in a log\.$/);
  await shows(opened.page, "#status", /^online$/);
  await end();
  // It had asked for a token while nobody was there.
  const unexpected = opened.errors.filter((error) => !/dev\/token|CONNECTION_REFUSED/.test(error));
  assert.deepEqual(unexpected, []);
  await opened.page.close();
});

test("the conversation in plain HTML, under the guide's own policy: it shows, says and stops", async () => {
  const [, name, value] = block("policy").match(/^([\w-]+): (.*)$/m);
  write("conversation.html", block("conversation.html"));
  // An import map and a script in the page itself are the page's own matter, not the package's.
  const inline = value.replace("script-src", "script-src 'unsafe-inline'");
  assert.notEqual(inline, value);
  const strict = await serve(project.folder, { [name.toLowerCase()]: inline });
  const { page, errors } = await open(browser, `${strict.url}/conversation.html`);
  const { say, end } = await runIn();
  await say("I am here.");
  await shows(page, "main p.answer", /I am here\./);
  await page.locator("#stop").waitFor();
  await page.locator("input").fill("What now?");
  await page.locator("form button").click();
  await shows(page, "main p.said", /What now\?/);
  await page.locator("#stop").click();
  await page.locator("#stop").waitFor({ state: "hidden" });
  await assert.rejects(end, /run_ended/);
  assert.deepEqual(errors, []);
  await page.close();
  await strict.close();
});

test("the components for React show, say and stop", async () => {
  const { thread, say, end } = await newThread();
  await say("I am here.");
  write("chat.tsx", block("chat.tsx"));
  const work = ({ mount }, _, { thread }, element) => mount(thread, element);
  const { page, close } = await openWith("root.tsx", work, { thread });
  await shows(page, "p.answer", /^I am here\.$/);
  await page.locator("input").fill("What now?");
  await page.locator("input").press("Enter");
  await shows(page, "p.said", /^What now\?$/);
  await page.getByText("Stop").click();
  await page.getByText("Stop").waitFor({ state: "detached" });
  await assert.rejects(end, /run_ended/);
  const next = await runIn(thread);
  await next.end();
  await page.locator("main[data-done='1'][data-state=online]").waitFor();
  await close();
});

test("the status is shown in words", async () => {
  write("status.ts", block("status.ts"));
  const work = async ({ showStatus }, connect, given, element) => {
    window.client = await connect(given);
    showStatus(client, element);
  };
  const { page, close } = await openWith("status.ts", work);
  await shows(page, "#element", /^Up to date$/);
  await server.kill();
  await shows(page, "#element[data-state=waiting]", /; again in \d+ s$/);
  await server.rise();
  await shows(page, "#element[data-state=online]", /^Up to date$/);
  await page.evaluate(() => window.client.close());
  await shows(page, "#element[data-state=closed]", /^Over: /);
  // It may have tried the way around a blocked WebSocket meanwhile.
  await close(/\/v1\/stream|CONNECTION_REFUSED/);
});

test("what is new is typed out, and what was there is not", async () => {
  const { thread, say } = await newThread();
  await say("one");
  write("typing.ts", block("typing.ts"));
  const work = async ({ typeOut }, connect, { thread, ...given }, element) =>
    typeOut((await connect(given)).thread(thread), element);
  const { page, begin, close } = await openWith("typing.ts", work, { thread });
  await shows(page, "span.typed", /^one$/);
  await until(async () => (await keptOf(page, thread)) === 2, () => "it is kept");
  await page.reload();
  await begin();
  await shows(page, "span", /^one$/);
  assert.equal(await page.locator("span.typed").count(), 0);
  await say("two");
  await shows(page, "span.typed", /^two$/);
  await close();
});

test("a minted token is good for its user's threads; one that is refused ends it", async () => {
  write("token.mjs", block("token.mjs"));
  write("access.ts", block("access.ts"));
  const { mintToken } = await import(pathToFileURL(join(project.folder, "token.mjs")).href);
  const headers = { authorization: `Bearer ${mintToken("grace", SECRET)}` };
  const created = await fetch(`${server.url}/v1/threads`, { method: "POST", headers, body: "{}" });
  const { thread } = await created.json();
  write("token", mintToken("grace", SECRET));
  const work = async ({ connectAs, logOut }, _, { thread, url }) => {
    const client = await connectAs("grace", url, () => (window.hasToLogIn = true));
    window.sent = await client.thread(thread).send("Hello.");
    window.leave = () => logOut(client);
  };
  const { page, begin, close } = await openWith("access.ts", work, { thread });
  assert.equal(await page.evaluate(() => window.sent.seq), 1);
  await page.evaluate(() => window.leave());
  assert.equal(await page.evaluate(() => window.hasToLogIn), undefined);
  write("token", mintToken("grace", "not the secret of this server at all"));
  await page.reload();
  const refused = await begin().catch((error) => String(error));
  assert.match(refused, /RethreadError/);
  assert.equal(await page.evaluate(() => window.hasToLogIn), true);
  write("token", await server.token());
  await close();
});

test("what is on its way is shown", async () => {
  const { thread } = await newThread();
  write("outbox.ts", block("outbox.ts"));
  const work = async ({ showOutbox }, connect, { thread, token, url }, element) => {
    let isHere = false;
    const bring = async () => {
      if (isHere) return token;
      throw new Error("nobody is logged in");
    };
    const conversation = (await connect({ url, token: bring, cache: false })).thread(thread);
    showOutbox(conversation, element);
    window.sent = conversation.send("Hello.");
    window.logIn = () => (isHere = true);
  };
  const { page, close } = await openWith("outbox.ts", work, { thread });
  await shows(page, "button.queued[disabled]", /^Hello\.$/);
  await page.evaluate(() => logIn());
  assert.equal(await page.evaluate(async () => (await sent).seq), 2);
  await close();
});

test("a worker follows a thread for its page", async () => {
  const { thread, say } = await newThread();
  write("worker.ts", block("worker.ts"));
  write("page.ts", block("page.ts"));
  await bundle("worker.ts");
  const work = ({ follow }, _, given, element) => {
    window.end = follow(given, ({ runs }) => (element.textContent = runs[0].parts.at(-1)?.text));
  };
  const { page, close } = await openWith("page.ts", work, { thread });
  await say("from afar");
  await shows(page, "#element", /^from afar$/);
  await page.evaluate(() => window.end());
  await close();
});

test("esbuild builds it as it is called, and the page finds all of it", async () => {
  write("build.mjs", block("build.mjs"));
  write("main.ts", block("main.ts"));
  execFileSync(process.execPath, ["build.mjs"], { cwd: project.folder, stdio: "inherit" });
  const dist = join(project.folder, "dist");
  writeFileSync(join(dist, "index.html"), '<!doctype html><script type="module" src="/main.js"></script>');
  writeFileSync(join(dist, "token"), await server.token());
  await runIn();
  const built = await serve(dist);
  const { page, errors } = await open(browser, built.url);
  await until(async () => /^[1-9]\d* runs$/.test(await page.title()), () => `runs; ${errors}`);
  assert.deepEqual(errors, []);
  await page.close();
  await built.close();
});

test("the test for an application's own page runs", () => {
  const name = "conversation.test.mjs";
  write(name, block(name));
  symlinkSync(process.env.RETHREAD_BIN, join(project.folder, "rethread"));
  const { NODE_TEST_CONTEXT, ...env } = process.env;
  env.PATH = `${project.folder}${delimiter}${env.PATH}`;
  const said = execFileSync(process.execPath, ["--test", name], { cwd: project.folder, env, encoding: "utf8" });
  assert.match(said, /pass 1/);
});

test("the sizes are what they are", () => {
  const rows = [...GUIDE.matchAll(/^\| `([\w.]+\.(?:js|wasm))` \| ([\d,]+) \|/gm)];
  const files = readdirSync(installed).filter((name) => /\.(js|wasm)$/.test(name));
  assert.deepEqual(rows.map(([, name]) => name).sort(), files.sort());
  for (const [, name, said] of rows) {
    const { length } = gzipSync(readFileSync(join(installed, name)), { level: 9 });
    const off = Math.abs(length - Number(said.replace(",", "")));
    assert.ok(off <= Math.max(100, length * SIZE_TOLERANCE), `${name} is ${length} bytes, not ${said}`);
  }
});

test("no block was left out", () => {
  assert.deepEqual([...used].sort(), [...blocks.keys()].sort());
});
