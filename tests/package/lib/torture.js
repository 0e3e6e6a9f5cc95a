import assert from "node:assert/strict";

import { launch, serve } from "./browser.js";
import { install } from "./project.js";
import { Proxy } from "./proxy.js";
import { Server } from "./server.js";
import { until } from "./until.js";

/**
 * Put into a page: connects, follows threads, and notes everything that the application is given. What is
 * noted of a thread begins anew with each `follow`, and with each load of the page.
 */
async function equip({ options, threads }) {
  const { connect, RethreadError } = await import("@rethread/client");
  const notes = {};
  // A function that brings the first of these; for a new one it goes on to the next, as long as there is one.
  window.tokens = options.tokens;
  window.wishes = [];
  if (options.tokens) {
    options.token = async ({ refused }) => {
      wishes.push(refused);
      if (refused && tokens.length > 1) tokens.shift();
      return tokens[0];
    };
  }
  /** Follows a thread, from the first event or as `after` says. */
  const follow = (id, how = {}) => {
    const thread = window.client.thread(id, how);
    const note = {
      thread, events: [], batches: [], byType: 0, resets: [], errors: [], views: 0, view: thread.view,
    };
    notes[id] = note;
    thread.on("*", (event) => note.events.push(event));
    thread.on("message_delta", () => (note.byType += 1));
    thread.onBatch((events, { first, last, epoch, replayed }) => {
      note.batches.push({ first, last, epoch, replayed, count: events.length });
    });
    // What was seen is void.
    thread.on("reset", ({ epoch, reason }) => {
      note.resets.push({ epoch, reason, events: note.events.length });
      note.events = [];
      note.batches = [];
      note.byType = 0;
    });
    thread.on("error", ({ code, message }) => note.errors.push(`${code}: ${message}`));
    thread.onView((view) => {
      note.views += 1;
      note.view = view;
    });
    return thread;
  };
  /** Follows it no more; what was noted stays until it is followed again. */
  const leave = (id) => notes[id].thread.close();
  window.statuses = [];
  window.client = await connect(options);
  window.client.on("status", (status) => statuses.push(status));
  Object.assign(window, { connect, RethreadError, notes, follow, leave });
  for (const id of threads) follow(id);
}

/**
 * A real server, a proxy before it that can be told to do harm, a browser, and a site that serves a page
 * with the packed package.
 */
export class Torture {
  browser;
  server;
  proxy;
  #project;
  #site;
  #judge;

  /**
   * @param words further arguments of `rethread serve`.
   * @param mode the proxy's, see proxy.js.
   * @param browser how it is launched, see browser.js.
   */
  static async start({ words = [], mode = "passes", browser = {} } = {}) {
    const torture = new Torture();
    torture.#project = install("projects/plain");
    try {
      // Each by itself: where one fails, the others are ended.
      const begun = await Promise.allSettled([
        launch(browser).then((browser) => (torture.browser = browser)),
        Server.start(words).then((server) => (torture.server = server)),
        serve(torture.#project.folder).then((site) => (torture.#site = site)),
      ]);
      const failed = begun.find(({ reason }) => reason);
      if (failed) throw failed.reason;
      torture.proxy = await Proxy.start(torture.server.url, mode);
    } catch (error) {
      await torture.stop();
      throw error;
    }
    return torture;
  }

  async stop() {
    await this.browser?.close();
    await this.proxy?.close();
    await Promise.all([this.server?.stop(), this.#site?.close()]);
    this.#project?.remove();
  }

  /**
   * Opens a page that follows `threads` through the proxy.
   *
   * @param context a context of the browser: pages of one share tabs and what is kept; default: a new one,
   *   which is closed with the page.
   * @param options for `connect`, beside `url` and `token`; `tokens` are for a function that brings them.
   * @param before is called with the page before it loads.
   * @param site where the page comes from.
   */
  async open({ context, threads = [], options = {}, before, site = this.siteUrl } = {}) {
    const own = context === undefined;
    context ??= await this.browser.newContext();
    const page = await context.newPage();
    const given = { url: this.proxy.url, token: await this.server.token(), ...options };
    const tab = new Tab(this, page, { own, site, threads: [...threads], options: given });
    await before?.(page);
    await tab.load();
    return tab;
  }

  /** A thread's whole log, through the HTTP API. */
  async log(thread) {
    const events = [];
    let first, head, epoch;
    for (let after = "start"; ; ) {
      const page = await this.server.get(`/v1/threads/${thread}/events?after=${after}&limit=512`);
      first ??= page.first;
      ({ head, epoch } = page);
      events.push(...page.events);
      if (!page.more) return { events, first, head, epoch };
      after = `${epoch}:${page.last}`;
    }
  }

  /** The view of these events, made at once by a page that has nothing to do with what is judged. */
  async fold(events) {
    this.#judge ??= this.browser.newPage().then(async (page) => {
      await page.goto(this.#site.url);
      return page;
    });
    const judge = await this.#judge;
    const view = await judge.evaluate(async (text) => {
      const events = JSON.parse(text);
      if (events.length === 0) return JSON.stringify({ seq: 0, runs: [] });
      const { load } = await import("./node_modules/@rethread/client/view.js");
      const { makeView } = await load();
      return new Promise((resolve) => {
        const fold = makeView((view) => {
          if (view.seq !== events.at(-1).seq) return;
          resolve(JSON.stringify(view));
          fold.close();
        });
        fold.push(events);
      });
    }, JSON.stringify(events));
    return JSON.parse(view);
  }

  get siteUrl() {
    return this.#site.url;
  }
}

/** A page with the package. */
class Tab {
  page;
  errors = [];
  /** Threads that it follows from its load on. */
  threads;
  options;
  #torture;
  #own;
  #site;

  constructor(torture, page, { own, site, threads, options }) {
    this.#torture = torture;
    this.#own = own;
    this.#site = site;
    this.page = page;
    this.threads = threads;
    this.options = options;
    page.on("pageerror", (error) => this.errors.push(String(error)));
  }

  /** Loads the page, or loads it again; `more` are further options for `connect`. */
  async load(more = {}) {
    await this.page.goto(this.#site);
    const given = { options: { ...this.options, ...more }, threads: this.threads };
    await this.page.evaluate(`(${equip})(${JSON.stringify(given)})`);
  }

  async follow(thread, how) {
    if (!this.threads.includes(thread)) this.threads.push(thread);
    await this.page.evaluate(([thread, how]) => void follow(thread, how), [thread, how]);
  }

  async leave(thread) {
    this.threads.splice(this.threads.indexOf(thread), 1);
    await this.page.evaluate((thread) => leave(thread), thread);
  }

  status() {
    return this.page.evaluate(() => client.status);
  }

  /** Until the client is online, and has what there is. */
  async online() {
    await until(
      async () => {
        const { state, caughtUp } = await this.status();
        return state === "online" && caughtUp;
      },
      () => "online and caught up",
      60_000,
    );
  }

  /** What the application was given of a thread. */
  async notes(thread) {
    // As text: playwright takes long over many objects.
    const text = await this.page.evaluate((id) => {
      const { thread, ...note } = notes[id];
      return JSON.stringify({ ...note, position: thread.position });
    }, thread);
    return JSON.parse(text);
  }

  /** Until the handlers and the view of a thread have this event. */
  async reaches(thread, seq) {
    await until(
      () =>
        this.page.evaluate(
          ([id, seq]) => seq === 0 || (notes[id].events.at(-1)?.seq >= seq && notes[id].view.seq >= seq),
          [thread, seq],
        ),
      () => `event ${seq} of ${thread}`,
      90_000,
    );
  }

  /**
   * Waits until this page has all of a thread's log as it is now, and asserts that what it was given is the
   * log: handlers and batches every event from `from` on, in order, each once, unchanged; the view what a
   * fresh fold of the log gives.
   *
   * @param log, view what is known already of the thread: its log, and the fold of that.
   * @returns how many events were compared.
   */
  async equals(thread, { from, log, view } = {}) {
    log ??= await this.#torture.log(thread);
    await this.reaches(thread, log.head);
    const note = await this.notes(thread);
    const where = `${thread} in a page`;
    const expected = log.events.filter(({ seq }) => seq >= (from ?? log.first));
    same(note.events.map(({ replayed, ...event }) => event), expected, where);
    const batches = note.batches.map(({ first, last, count }) => [first, last, count]);
    let next = from ?? log.first;
    for (const [first, last, count] of batches) {
      assert.deepEqual([first, count], [next, last - first + 1], `${where}: batches follow each other`);
      next = last + 1;
    }
    assert.equal(next, log.head + 1, `${where}: batches bring all`);
    const deltas = expected.filter(({ type }) => type === "message_delta").length;
    assert.equal(note.byType, deltas, `${where}: the handler of one type`);
    if (from === undefined) {
      assert.deepEqual(note.view, view ?? (await this.#torture.fold(log.events)), `${where}: the view`);
    }
    assert.deepEqual(note.errors, [], where);
    return expected.length;
  }

  /** All rows of a store of the database in which this context keeps things. */
  rows(store) {
    return this.page.evaluate(async (store) => {
      const done = (request) => new Promise((resolve) => (request.onsuccess = () => resolve(request.result)));
      for (const { name } of await indexedDB.databases()) {
        const database = await done(indexedDB.open(name));
        const rows = await done(database.transaction(store).objectStore(store).getAll());
        database.close();
        return rows;
      }
      return [];
    }, store);
  }

  /** Until a thread is kept in this browser up to `seq`. */
  async kept(thread, seq) {
    const isKept = async () =>
      (await this.rows("threads")).some((row) => row.thread === thread && row.last >= seq);
    await until(isKept, () => `${thread} kept up to ${seq}`);
  }

  /** Until so many commands are kept in this browser. */
  async ordered(count) {
    await until(async () => (await this.rows("outbox")).length === count, () => `${count} commands kept`);
  }

  /** Closes it; it must have had no errors. */
  async close() {
    assert.deepEqual(this.errors, []);
    await (this.#own ? this.page.context() : this.page).close();
  }
}

/** Asserts that events are those of the log; says where they first differ. */
export function same(events, expected, where) {
  const length = Math.max(events.length, expected.length);
  for (let at = 0; at < length; at++) {
    const [got, wanted] = [events[at], expected[at]].map((event) => JSON.stringify(event));
    if (got === wanted) continue;
    const around = events.slice(Math.max(0, at - 3), at + 3).map(({ seq }) => seq);
    assert.fail(
      `${where}: differs first at place ${at} of ${expected.length}: ` +
        `got ${got ?? "nothing"}, expected ${wanted ?? "nothing"}; around it came ${around}`,
    );
  }
}
