// One page, as each bundler makes it from the installed package, and as Vite's development server serves it.
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { build } from "esbuild";
import { createServer } from "vite";
import webpack from "webpack";

import { launch, serve } from "./lib/browser.js";
import { showsAConversation } from "./lib/chat.js";
import { install } from "./lib/project.js";
import { Server } from "./lib/server.js";

let browser, project, server;

before(async () => {
  project = install("projects/conversation");
  [browser, server] = await Promise.all([launch(), Server.start()]);
});

after(async () => {
  await browser?.close();
  await server?.stop();
  project?.remove();
});

/** Serves what a bundler has made, with the page around it, and looks at it in the browser. */
async function works(output, script) {
  const page = readFileSync(join(project.folder, "index.html"), "utf8");
  writeFileSync(join(output, "index.html"), page.replace("/main.js", script));
  const site = await serve(output);
  try {
    const { page } = await showsAConversation(browser, server, `${site.url}/`);
    await page.close();
  } finally {
    await site.close();
  }
}

test("Vite's development server serves it, without a word in its configuration", async () => {
  const vite = await createServer({
    root: project.folder,
    configFile: false,
    logLevel: "warn",
    server: { host: "127.0.0.1", port: 0 },
  });
  try {
    await vite.listen();
    const { port } = vite.httpServer.address();
    const { page } = await showsAConversation(browser, server, `http://127.0.0.1:${port}/`);
    await page.close();
  } finally {
    await vite.close();
  }
});

test("webpack finds the WebAssembly and the parts by itself", async () => {
  const output = join(project.folder, "webpack");
  const stats = await new Promise((resolve, reject) => {
    const done = (error, stats) => (error ? reject(error) : resolve(stats));
    webpack({ mode: "production", context: project.folder, entry: "./main.js", output: { path: output } }, done);
  });
  const { errors, warnings } = stats.toJson({ all: false, errors: true, warnings: true });
  assert.deepEqual([...errors, ...warnings], []);
  await works(output, "/main.js");
});

test("esbuild finds the parts by itself, and is told of the WebAssembly", async () => {
  const output = join(project.folder, "esbuild");
  const { warnings } = await build({
    absWorkingDir: project.folder,
    entryPoints: ["main.esbuild.js"],
    outdir: output,
    bundle: true,
    splitting: true,
    format: "esm",
    minify: true,
    loader: { ".wasm": "file" },
    publicPath: "/",
    logLevel: "silent",
  });
  assert.deepEqual(warnings, []);
  assert.ok(readdirSync(output).some((name) => name.endsWith(".wasm")));
  await works(output, "/main.esbuild.js");
});
