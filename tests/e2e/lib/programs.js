/** The programs under test, and child processes that never outlive the test. */

import { spawn } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

import { removeFolders } from "./folder.js";

const TARGET = process.env.CARGO_TARGET_DIR ?? fileURLToPath(new URL("../../../target", import.meta.url));
/** What is kept of a child's output, for the report of a failure. */
const OUTPUT_CHARS = 20_000;

/** Path of the server. */
export const rethread = () => named("RETHREAD_BIN") ?? built("rethread");
/** Path of the example agent. */
export const docsAgent = () => named("DOCS_AGENT_BIN") ?? built("docs-agent");
/** Path of the browser. */
export const chromium = () => named("CHROMIUM") ?? found(["chromium", "google-chrome", "google-chrome-stable"]);

/** @type {Set<import("node:child_process").ChildProcess>} */
const running = new Set();
process.on("exit", () => {
  running.forEach((child) => child.kill("SIGKILL"));
  removeFolders();
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => process.exit(1));
}

/** A child process: its output, its end. */
export class Program {
  /** What it wrote to stdout and stderr, the end of it. */
  output = "";
  /** Its exit status or signal; `undefined` while it runs. @type {number | string | undefined} */
  ended;

  /**
   * @param {string} path
   * @param {string[]} args
   * @param {Record<string, string>} [env] on top of this process's own
   */
  constructor(path, args, env = {}) {
    this.child = spawn(path, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
    running.add(this.child);
    const keep = (text) => (this.output = (this.output + text).slice(-OUTPUT_CHARS));
    this.child.stdout.setEncoding("utf8").on("data", keep);
    this.child.stderr.setEncoding("utf8").on("data", keep);
    this.end = new Promise((resolve) => {
      const over = (how) => {
        running.delete(this.child);
        this.ended ??= how;
        resolve(this.ended);
      };
      this.child.on("exit", (code, signal) => over(signal ?? code ?? "gone"));
      this.child.on("error", (error) => over(error.message));
    });
  }

  /** `kill -9`, and waits until it is dead. */
  async kill() {
    if (this.ended === undefined) this.child.kill("SIGKILL");
    await this.end;
  }
}

function named(variable) {
  const path = process.env[variable];
  if (!path) return undefined;
  if (!existsSync(path)) throw new Error(`${variable} names ${path}, which does not exist`);
  return path;
}

/** The newest build of a program. */
function built(name) {
  const paths = ["debug", "release"].map((profile) => join(TARGET, profile, name)).filter(existsSync);
  if (paths.length === 0) throw new Error(`${name} is not built; \`cargo xtask e2e\` builds it`);
  return paths.sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs)[0];
}

function found(names) {
  const folders = (process.env.PATH ?? "").split(delimiter);
  const paths = names.flatMap((name) => folders.map((folder) => join(folder, name)));
  const path = paths.find(existsSync);
  if (!path) throw new Error(`none of ${names.join(", ")} is in PATH; set CHROMIUM to the browser's path`);
  return path;
}
