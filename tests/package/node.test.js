// The package in Node, as servers that render pages and tools that look at packages have it.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { install } from "./lib/project.js";

let project, installed;

before(() => {
  project = install("projects/node");
  installed = join(project.folder, "node_modules/@rethread/client");
  const react = fileURLToPath(new URL("node_modules/react", import.meta.url));
  cpSync(react, join(project.folder, "node_modules/react"), { recursive: true });
});

after(() => project?.remove());

/** Runs a file of the project, which must end by itself, and gives what it prints. */
function run(file) {
  const options = { cwd: project.folder, encoding: "utf8", timeout: 60_000 };
  return JSON.parse(execFileSync(process.execPath, ["--trace-uncaught", file], options));
}

test("imported, it does nothing and keeps nothing running", () => {
  const { exports, globals, hooks } = run("import.mjs");
  assert.deepEqual(exports, ["RethreadError", "connect"]);
  assert.deepEqual(hooks, ["RethreadProvider", "useEvents", "useRethread", "useStatus", "useThread"]);
  assert.deepEqual(globals, []);
});

test("required, it is the same", () => {
  assert.deepEqual(run("require.cjs"), ["RethreadError", "connect"]);
});

test("it connects from Node too, given the WebAssembly's bytes, and says what is missing without", () => {
  const { without, closed, timers } = run("connect.mjs");
  assert.equal(without, "wasm_failed");
  assert.deepEqual(closed, { state: "closed", code: "closed" });
  assert.equal(timers, 0, "what is closed keeps nothing running");
});

test("every export is a file that is there, with its types, and nothing else can be reached", () => {
  const { exports } = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"));
  const names = [".", "./react", "./wasm", "./view-wasm", "./fallback-wasm", "./package.json"];
  assert.deepEqual(Object.keys(exports), names);
  for (const [name, { types, default: file = exports[name] }] of Object.entries(exports)) {
    assert.ok(existsSync(join(installed, file)), `${name}: ${file}`);
    if (name !== "./package.json") assert.ok(existsSync(join(installed, types)), `${name}: ${types}`);
  }
  const found = run("resolve.mjs");
  for (const name of names) assert.ok(existsSync(fileURLToPath(found[name])), name);
  assert.equal(found["./view.js"], "ERR_PACKAGE_PATH_NOT_EXPORTED");
});

test("React's part says that it is for clients, so that server components may import it", () => {
  assert.match(readFileSync(join(installed, "react.js"), "utf8"), /^"use client";/);
});
