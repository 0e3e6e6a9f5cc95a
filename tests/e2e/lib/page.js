/** The chat page in a real browser: what it was given, what it shows, what went wrong in it. */

import assert from "node:assert/strict";

import { answerText, beginningOfLog, readLog, sameAsLog } from "./log.js";
import { until } from "./wait.js";

/** How Chromium words that a server is not there or has gone. */
const NETWORK = /net::ERR_(CONNECTION_\w+|EMPTY_RESPONSE|INCOMPLETE_CHUNKED_ENCODING|SOCKET_NOT_CONNECTED|ABORTED|TIMED_OUT)/;
const SOCKET = /WebSocket connection to '[^']+' failed/;
/** What the package says of what it does again. */
const AGAIN = /^Rethread: RethreadError: .*; tries again/;

/** What may fail when a server is away: its interface, and what is loaded on demand. */
const MAY_FAIL = /^\/(v1\/|healthz$|assets\/(rethread_)?(fallback|loop|store|tabs|view)[-_])/;

/** One tab. */
export class Chat {
  /** What must not happen in a page and did, as `kind: what`. @type {string[]} */
  problems = [];
  #expectsOutages = false;
  #isLeaving = false;
  /** What it had been given at some moments. @type {object[][]} */
  #glimpses = [];

  /**
   * Opens the page at a thread, or without one.
   *
   * @param {import("playwright-core").BrowserContext} context
   * @param {string} url the server, or a proxy to it
   * @param {string} [thread]
   * @param {{ before?: Function, expectsOutages?: boolean }} [options] what has the page before it loads;
   *   whether the network is bad on purpose from the start
   */
  static async open(context, url, thread, { before, expectsOutages = false } = {}) {
    const page = await context.newPage();
    await before?.(page);
    const chat = new Chat(page, thread);
    chat.#expectsOutages = expectsOutages;
    await page.addInitScript(keepStatusWords);
    await page.goto(`${url}/?record${thread ? `#${thread}` : ""}`);
    await chat.settles();
    return chat;
  }

  constructor(page, thread) {
    this.page = page;
    this.thread = thread;
    this.#watch();
  }

  // What a person does ---------------------------------------------------------------------------

  /** Types a message and presses Enter. */
  async ask(text) {
    await this.composer.fill(text);
    await this.composer.press("Enter");
  }

  /** Loads the page anew, at whatever moment this is. */
  async reload() {
    this.#isLeaving = true;
    await this.page.reload();
    this.#isLeaving = false;
  }

  get composer() {
    return this.page.getByTestId("composer");
  }

  get stop() {
    return this.page.getByTestId("stop");
  }

  /** The newest run on the screen, or the one named. */
  run(id) {
    return id ? this.page.locator(`[data-testid=run][data-run="${id}"]`) : this.page.getByTestId("run").last();
  }

  // What the page was given ----------------------------------------------------------------------

  /** The events that the page was given, in the order they came. */
  async record() {
    return this.page.evaluate((thread) => window.__rethread?.record.get(thread) ?? [], this.thread);
  }

  /** How many they are. */
  async count() {
    return this.page.evaluate((thread) => window.__rethread?.record.get(thread)?.length ?? 0, this.thread);
  }

  /** Waits until it has been given so many. */
  async has(events) {
    const seen = () => this.count();
    await until(`${events} events in the page`, async () => (await this.count()) >= events, { seen });
  }

  /** Waits until it has been given `more` events beyond those it has. */
  async receives(more) {
    await this.has((await this.count()) + more);
  }

  /** Remembers what the page has been given by now, which must be how the log begins. */
  async glimpse() {
    this.#glimpses.push(await this.record());
  }

  // What the page shows --------------------------------------------------------------------------

  /** The connection: `data-state` of the status line, and its words. */
  async status() {
    const line = this.page.getByTestId("status");
    return { state: await line.getAttribute("data-state"), words: await line.textContent() };
  }

  /** Every wording that the status line has had since the page was loaded. @returns {Promise<string[]>} */
  async statusWords() {
    return this.page.evaluate(() => window.__statusWords);
  }

  /** Waits until the status line has had words like these. */
  async says(words) {
    const seen = () => this.statusWords();
    await until(`the words ${words}`, async () => (await this.statusWords()).find((had) => words.test(had)), { seen });
  }

  /** Waits until the connection has this state. */
  async is(state, ms) {
    await until(`the state ${state}`, async () => (await this.status()).state === state, { ms, seen: () => this.status() });
  }

  /** Waits until the connection is no longer up. */
  async isAway(ms) {
    await until("the page to notice", async () => (await this.status()).state !== "online", { ms, seen: () => this.status() });
  }

  /** Waits until the page is connected and has caught up. */
  async settles() {
    const isSettled = async () => {
      const { state, words } = await this.status();
      return state === "online" && !words.includes("catching up");
    };
    await until("the page to be caught up", isSettled, { seen: () => this.status() });
  }

  /** Waits until a run on the screen has this state: asked, running, completed, failed, cancelled. */
  async runIs(state, run) {
    const seen = async () => (await this.run(run).count()) && this.run(run).getAttribute("data-state");
    await until(`a run that is ${state}`, async () => (await seen()) === state, { seen });
  }

  /** The text of a run's answer as it stands on the screen. */
  async answer(run) {
    const parts = await this.run(run).locator("[data-testid=message][data-role=agent]").allInnerTexts();
    return parts.join("\n\n");
  }

  // The end --------------------------------------------------------------------------------------

  /**
   * Waits until the page has what the log has, and throws unless it has exactly that: the record is
   * the log, what was seen at any moment is how the log begins, no reset was told, and the answer on
   * the screen is the run's deltas.
   *
   * @param {import("./server.js").Server} server
   * @param {string} run the run that was answered, and has completed
   */
  async endsWithLog(server, run) {
    const log = await readLog(server, this.thread);
    await this.has(log.head);
    await this.runIs("completed", run);
    await this.settles();
    sameAsLog(await this.record(), log);
    for (const glimpse of this.#glimpses) beginningOfLog(glimpse, log);
    const notices = await this.page.locator(".banner").allInnerTexts();
    assert.deepEqual(notices, [], "the page shows a notice");
    const text = answerText(log, run);
    assert.ok(text.length > 0, "the log has an answer");
    assert.equal(words(await this.answer(run)), words(text), "the answer on the screen is not the log's");
    return log;
  }

  /** From now on the network is bad on purpose: requests to the server's interface may fail. */
  expectOutages() {
    this.#expectsOutages = true;
  }

  #watch() {
    const { page } = this;
    page.on("crash", () => this.problems.push("crash: the tab"));
    page.on("pageerror", (error) => this.problems.push(`page error: ${error.stack ?? error}`));
    page.on("console", (message) => {
      if (!["error", "warning"].includes(message.type())) return;
      const text = message.text();
      const isNetwork = (NETWORK.test(text) && this.#mayFail(message.location().url)) || SOCKET.test(text);
      if ((isNetwork || AGAIN.test(text)) && this.#expectsOutages) return;
      this.problems.push(`console ${message.type()}: ${text} at ${message.location().url}`);
    });
    page.on("requestfailed", (request) => {
      const why = request.failure()?.errorText ?? "";
      const isAborted = this.#isLeaving && why === "net::ERR_ABORTED";
      if (this.#mayFail(request.url()) && (isAborted || (this.#expectsOutages && NETWORK.test(why)))) return;
      this.problems.push(`request failed: ${request.method()} ${request.url()} ${why}`);
    });
    page.on("response", (response) => {
      if (response.status() >= 400) this.problems.push(`status ${response.status()}: ${response.url()}`);
    });
  }

  /**
   * The server's interface may be away, and so may a part of the package that is loaded when it is asked
   * for; the page's own files never.
   */
  #mayFail(url) {
    return URL.canParse(url) && MAY_FAIL.test(new URL(url).pathname);
  }
}

/** Runs in the page before its own scripts. */
function keepStatusWords() {
  window.__statusWords = [];
  new MutationObserver(() => {
    const words = document.querySelector("[data-testid=status]")?.textContent;
    if (words && words !== window.__statusWords.at(-1)) window.__statusWords.push(words);
  }).observe(document, { subtree: true, childList: true, characterData: true });
}

/** How a text is broken into lines and paragraphs is the page's own matter. */
function words(text) {
  return text.split(/\s+/).filter(Boolean).join(" ");
}
