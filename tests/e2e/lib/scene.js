/** A test as a story: a server, what stands around it, and one place where all of it ends. */

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, test } from "node:test";

import { chromium as playwright } from "playwright-core";

import { dice } from "./dice.js";
import { makeFolder, removeFolder } from "./folder.js";
import { Chat } from "./page.js";
import { chromium, docsAgent, Program } from "./programs.js";
import { Proxy } from "./proxy.js";
import { Publisher } from "./publisher.js";
import { Server } from "./server.js";
import { until } from "./wait.js";

const STORY_MS_MAX = 120_000;
const LOG_LINES_SHOWN = 40;
const BROWSER_ARGS = [
  "--no-sandbox",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-gpu",
];

/**
 * A test with a server of its own. Afterwards every process is gone, and every page must have been
 * without errors.
 *
 * @param {string} name what the test shows
 * @param {(scene: Scene) => Promise<void>} tell
 * @param {{ serve?: string[] }} [options] further arguments for `rethread serve`
 */
export function story(name, tell, { serve = [] } = {}) {
  test(name, { timeout: STORY_MS_MAX }, async (t) => {
    const scene = new Scene(t);
    try {
      scene.server = await Server.start(serve);
      await tell(scene);
      for (const chat of scene.chats) assert.deepEqual(chat.problems, [], "something went wrong in a page");
    } catch (error) {
      await scene.report();
      throw error;
    } finally {
      await scene.close();
    }
  });
}

/** What a story has at hand. */
export class Scene {
  /** @type {Server} */
  server;
  /** @type {Chat[]} */
  chats = [];
  #t;
  /** @type {import("playwright-core").BrowserContext | undefined} */
  #context;
  /** @type {(() => unknown)[]} */
  #endings = [];
  /** @type {Program[]} */
  #agents = [];

  constructor(t) {
    this.#t = t;
    this.dice = dice(t);
  }

  /** A line for whoever reads the test's output. */
  note(text) {
    this.#t.diagnostic(text);
  }

  /** A proxy to the server. */
  async proxy() {
    const proxy = await Proxy.start(() => this.server.port);
    this.#endings.push(() => proxy.close());
    return proxy;
  }

  /**
   * A tab of the story's one browser window.
   *
   * @param {string} [thread]
   * @param {{ through?: { url: string }, context?: object }} [options] a proxy; how the window
   *   is made; and as for `Chat.open`
   */
  async open(thread, { through = this.server, context, ...how } = {}) {
    this.#context ??= await (await browser()).newContext(context);
    const chat = await Chat.open(this.#context, through.url, thread, how);
    this.chats.push(chat);
    return chat;
  }

  /**
   * A publisher of a new run, which begins to stream at once; `streaming` is for its end.
   *
   * @param {string} thread
   * @param {{ everyMs?: number }} [options] as for `Publisher.stream`
   */
  async publisher(thread, options) {
    const publisher = new Publisher(this.server, await this.server.run(thread));
    this.#endings.push(() => publisher.abandon());
    const streaming = publisher.stream(options);
    // Its failure is seen where it is waited for.
    streaming.catch(() => {});
    return { publisher, streaming };
  }

  /**
   * The example agent, over a folder with these files.
   *
   * @param {Record<string, string>} files text by name
   * @param {{ paceMs?: number }} [options]
   */
  async agent(files, { paceMs = 5 } = {}) {
    const folder = makeFolder();
    this.#endings.push(() => removeFolder(folder));
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
    const to = ["--dev", "--url", this.server.url, "--docs", folder];
    const agent = new Program(docsAgent(), [...to, "--offline", "--pace-ms", String(paceMs)], { RETHREAD_TOKEN: "" });
    this.#agents.push(agent);
    this.#endings.push(() => agent.kill());
    const seen = () => agent.output;
    await until("the agent to be ready", () => agent.output.includes("ready for questions"), { seen });
    return agent;
  }

  /** Tells what is known of a failure. With RETHREAD_E2E_SHOTS=folder the pages are pictured too. */
  async report() {
    const folder = process.env.RETHREAD_E2E_SHOTS;
    for (const [place, chat] of this.chats.entries()) {
      const had = await chat.statusWords().catch((error) => [String(error)]);
      this.note(`page ${place + 1}: the connection was: ${had.slice(-10).join(" | ")}`);
      for (const problem of chat.problems) this.note(`page ${place + 1}: ${problem}`);
      const path = folder && join(folder, `${this.#t.name.replaceAll(/\W+/g, "-")}-${place + 1}.png`);
      if (path) await chat.page.screenshot({ path }).catch((error) => this.note(String(error)));
    }
    for (const agent of this.#agents) this.note(`the agent's log:\n${tail(agent.output)}`);
    if (this.server) this.note(`the server's log:\n${tail(this.server.log)}`);
  }

  /** Ends everything, the newest first. */
  async close() {
    await this.#context?.close();
    for (const end of this.#endings.reverse()) await end();
    await this.server?.close();
  }
}

let launched;

/** The browser that a file's tests share. */
function browser() {
  launched ??= playwright.launch({ executablePath: chromium(), args: BROWSER_ARGS });
  return launched;
}

after(async () => (await launched)?.close());

function tail(text) {
  return text.trimEnd().split("\n").slice(-LOG_LINES_SHOWN).join("\n");
}
