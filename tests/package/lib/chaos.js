import assert from "node:assert/strict";

import { Agent } from "./agent.js";
import { diceOf } from "./random.js";
import { Torture } from "./torture.js";
import { until } from "./until.js";

const TABS = 5;
const THREADS = 20;
/** Threads that a tab follows at a time. */
const FOLLOWED = 6;
/** A stall is found after two of these. */
const HEARTBEAT = "2s";
/** What is printed of what was done, when it has failed. */
const TRAIL = 40;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Random harm to tabs that follow threads, for a while; then everything is left alone, and each tab must have
 * what the logs have. What is done, and in which order, is the seed's; when, is the machine's.
 */
export class Chaos {
  #torture;
  #context;
  #seed;
  #until;
  #dice;
  #tabs = [];
  #threads = [];
  #agents = [];
  /** What pages that are gone were given: `{tab, thread, given}`, see `givenOf`. */
  #lives = [];
  /** Messages that pages were asked to send: `{tab, thread, id}`. */
  #messages = [];
  #stored = [];
  #trail = [];
  /** Loading a page and being offline take turns. */
  #network = Promise.resolve();
  #opened = 0;
  counts = {
    cuts: 0, stalls: 0, blocks: 0, kills: 0, offlines: 0, reloads: 0, closings: 0, crashes: 0, freezes: 0,
    switches: 0, messages: 0,
  };

  constructor(seed, minutes) {
    this.#seed = seed;
    this.#dice = diceOf(seed);
    this.#until = () => Date.now() + minutes * 60_000;
  }

  async run() {
    this.#torture = await Torture.start({ words: ["--heartbeat", HEARTBEAT, "--logs-level", "error"] });
    try {
      this.#context = await this.#torture.browser.newContext();
      await this.#begin();
      const deadline = this.#until();
      const harm = [this.#harmNetwork(deadline), this.#harmTabs(deadline)];
      const agents = this.#agents.map((agent, n) => this.#work(agent, diceOf(this.#seed + n), deadline));
      await Promise.all([...harm, ...agents]);
      return await this.#judge();
    } catch (error) {
      error.message = `seed ${this.#seed}: ${error.message}\nwhat was done last:\n${this.#trail.join("\n")}`;
      throw error;
    } finally {
      await this.#torture.stop();
    }
  }

  async #begin() {
    const { server } = this.#torture;
    for (let n = 0; n < THREADS; n++) {
      const { thread } = await server.thread();
      this.#threads.push(thread);
      this.#agents.push(new Agent(server, thread, this.#seed + n));
    }
    for (let n = 0; n < TABS; n++) this.#tabs.push(await this.#open(n));
  }

  // Harm -----------------------------------------------------------------------------------------

  async #harmNetwork(deadline) {
    const { server, proxy } = this.#torture;
    const dice = diceOf(this.#dice.below(2 ** 32));
    while (Date.now() < deadline) {
      await pause(dice.between(100, 3000));
      const what = dice.of([
        "cut", "cut", "cut", "stall", "stall", "block", "kill", "kill", "offline", "lull",
      ]);
      const ms = dice.between(0, 6000);
      const isReleased = dice.chance(0.5);
      this.#note(`${what} ${ms}`);
      switch (what) {
        case "cut":
          this.counts.cuts += 1;
          proxy.cut();
          break;
        case "stall":
          this.counts.stalls += 1;
          proxy.stall();
          await pause(ms);
          // What was held back comes late; or nothing of it ever does.
          if (isReleased) proxy.release();
          break;
        case "block":
          this.counts.blocks += 1;
          proxy.mode = "refuses";
          proxy.cut();
          await pause(ms);
          proxy.mode = "passes";
          break;
        case "kill":
          this.counts.kills += 1;
          await server.kill();
          await pause(ms / 4);
          await server.rise();
          break;
        case "offline":
          this.counts.offlines += 1;
          await this.#alone(async () => {
            await this.#context.setOffline(true);
            await pause(ms / 2);
            await this.#context.setOffline(false);
          });
          break;
        default:
          await pause(ms);
      }
    }
  }

  async #harmTabs(deadline) {
    const dice = diceOf(this.#dice.below(2 ** 32));
    while (Date.now() < deadline) {
      await pause(dice.between(100, 1500));
      const place = dice.below(TABS);
      const what = dice.of([
        "reload", "reload", "reload", "close", "close", "switch", "switch", "switch", "switch", "send", "send",
        "crash", "freeze",
      ]);
      const ms = dice.between(0, 5000);
      const tab = this.#tabs[place];
      this.#note(`${what} ${tab.name}`);
      switch (what) {
        case "reload":
          this.counts.reloads += 1;
          await this.#end(tab);
          await this.#alone(() => tab.load());
          break;
        case "close":
          this.counts.closings += 1;
          await this.#end(tab);
          await tab.page.close();
          this.#tabs[place] = await this.#alone(() => this.#open(place));
          break;
        case "crash":
          this.counts.crashes += 1;
          await crash(tab.page);
          this.#tabs[place] = await this.#alone(() => this.#open(place));
          break;
        case "freeze":
          this.counts.freezes += 1;
          await freeze(tab.page, ms);
          break;
        case "switch": {
          this.counts.switches += 1;
          const left = dice.of(tab.threads);
          const next = dice.of(this.#threads.filter((thread) => !tab.threads.includes(thread)));
          await tab.leave(left);
          await this.#keep(tab, left);
          await tab.follow(next);
          break;
        }
        default: {
          this.counts.messages += 1;
          const message = { tab, thread: dice.of(tab.threads), id: crypto.randomUUID() };
          this.#messages.push(message);
          await tab.page.evaluate(({ thread, id }) => {
            window.sent ??= {};
            window.sent[id] = "queued";
            notes[thread].thread.send(`message ${id}`, { messageId: id }).then(
              ({ seq }) => (sent[id] = seq),
              ({ code }) => (sent[id] = code),
            );
          }, { thread: message.thread, id: message.id });
        }
      }
    }
  }

  /** An agent's work. */
  async #work(agent, dice, deadline) {
    while (Date.now() < deadline) {
      await agent.publish(dice.chance(0.02) ? 300 : dice.between(1, 8));
      await pause(dice.between(50, 1500));
    }
    await agent.end();
  }

  // Tabs -----------------------------------------------------------------------------------------

  /** Opens the tab of a place. One keeps nothing in the browser, and one shares no connection. */
  async #open(place) {
    const threads = new Set();
    while (threads.size < FOLLOWED) threads.add(this.#dice.of(this.#threads));
    const options = { cache: place !== 3, tabs: place !== 4 };
    const tab = await this.#torture.open({ context: this.#context, threads: [...threads], options });
    tab.name = `tab ${place}, page ${++this.#opened}`;
    return tab;
  }

  /** Keeps what a page was given, before it goes. */
  async #end(tab) {
    for (const thread of tab.threads) await this.#keep(tab, thread);
    this.#stored.push(...(await tab.page.evaluate(() => Object.entries(window.sent ?? {}))));
    assert.deepEqual(tab.errors, [], tab.name);
  }

  async #keep(tab, thread) {
    const given = await tab.page.evaluate(
      `(${givenOf})(notes[${JSON.stringify(thread)}].events, ${hashOf})`,
    );
    const { resets, errors } = await tab.page.evaluate((thread) => {
      const { resets, errors } = notes[thread];
      return { resets, errors };
    }, thread);
    assert.deepEqual({ resets, errors }, { resets: [], errors: [] }, `${tab.name}, ${thread}`);
    this.#lives.push({ tab: tab.name, thread, given });
  }

  async #alone(work) {
    const done = this.#network.then(work);
    this.#network = done.catch(() => {});
    return done;
  }

  #note(what) {
    this.#trail.push(`${new Date().toISOString().slice(11, 23)} ${what}`);
    if (this.#trail.length > TRAIL) this.#trail.shift();
  }

  // The end --------------------------------------------------------------------------------------

  /** Everything is left alone: each tab must come to have what the logs have. */
  async #judge() {
    this.#note("the end");
    for (const tab of this.#tabs) {
      await tab.online().catch(async (error) => {
        throw new Error(`${tab.name}: ${error.message}: ${JSON.stringify(await tab.status())}`);
      });
      await this.#settled(tab);
    }
    const logs = new Map();
    for (const thread of this.#threads) {
      const log = await this.#torture.log(thread);
      const hashes = log.events.map((event) => hashOf(JSON.stringify(event)));
      logs.set(thread, { log, hashes, view: await this.#torture.fold(log.events) });
    }
    let compared = 0;
    const transports = [];
    for (const tab of this.#tabs) {
      for (const thread of tab.threads) {
        try {
          compared += await tab.equals(thread, logs.get(thread));
        } catch (error) {
          error.message = `${tab.name}, ${thread}: ${error.message}`;
          throw error;
        }
      }
      await tab.online();
      transports.push((await tab.status()).transport);
      await this.#end(tab);
    }
    for (const life of this.#lives) compared += compare(life, logs.get(life.thread));
    const stored = this.#countMessages(logs);
    const events = [...logs.values()].reduce((sum, { log }) => sum + log.events.length, 0);
    return { ...this.counts, messagesStored: stored, pages: this.#opened, events, compared, transports };
  }

  /** Until the messages that this page was asked to send are stored. */
  async #settled(tab) {
    await until(
      () => tab.page.evaluate(() => Object.values(window.sent ?? {}).every((state) => state !== "queued")),
      () => `${tab.name}: its messages are stored`,
      90_000,
    );
  }

  /** A message is in the log once at most, and where its page was told that it is. */
  #countMessages(logs) {
    const places = new Map();
    for (const [thread, { log }] of logs) {
      for (const { type, seq, data } of log.events) {
        if (type !== "user_message") continue;
        const known = places.get(data.message_id);
        assert.equal(known, undefined, `message ${data.message_id} is in ${thread} at ${seq} too`);
        places.set(data.message_id, seq);
      }
    }
    for (const [id, state] of this.#stored) {
      if (state === "queued") continue;
      assert.equal(state, places.get(id), `the place of message ${id}`);
    }
    return places.size;
  }
}

/** What a page was given must be the log's beginning, each event once. Gives how many there were. */
function compare({ tab, thread, given }, { log, hashes }) {
  const at = given.findIndex((hash, at) => hash !== hashes[at]);
  if (at < 0) return given.length;
  assert.fail(
    `${tab}, ${thread}: differs first at place ${at} of ${given.length}: ` +
      `got ${JSON.stringify(log.events[hashes.indexOf(given[at])])}, expected ${JSON.stringify(log.events[at])}`,
  );
}

/** What a page was given of a thread, short: a number for each event. */
function givenOf(events, hashOf) {
  return events.map(({ replayed, ...event }) => hashOf(JSON.stringify(event)));
}

/** A number for a text (FNV-1a). */
function hashOf(text) {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash;
}

/** As when the browser runs out of memory. */
async function crash(page) {
  const session = await page.context().newCDPSession(page);
  const crashed = new Promise((resolve) => page.on("crash", resolve));
  session.send("Page.crash").catch(() => {});
  await crashed;
  await page.close();
}

/** As a browser does with pages that nobody looks at. */
async function freeze(page, ms) {
  const session = await page.context().newCDPSession(page);
  await session.send("Page.setWebLifecycleState", { state: "frozen" });
  await pause(ms);
  await session.send("Page.setWebLifecycleState", { state: "active" });
  await session.detach();
}
