/** An agent over HTTP: streams an answer, and tries again with the same ids until all is acknowledged. */

import { randomUUID } from "node:crypto";

import { pause } from "./wait.js";

/** Between two tries. */
const RETRY_MS = 25;
/** Events of one request. Small, so that the log sees a stream and not a block. */
const BATCH_MAX = 8;
/** Refusals after which the same request may succeed: see the error codes in PROTOCOL.md. */
const TRANSIENT = new Set(["slow_down", "log_unavailable", "shutting_down", "internal"]);

/** Publishes one run of a thread, straight to the server. */
export class Publisher {
  /** What was acknowledged: `seq` by id. @type {Map<string, number>} */
  acked = new Map();
  /** Acknowledgements that said `duplicate`: the first answer was lost. */
  duplicates = 0;
  /** Requests that broke off or were refused for the moment. */
  retries = 0;
  /** The events made, in order. @type {{ id: string, type: string, data: any }[]} */
  made = [];
  #server;
  /** No more deltas. */
  #isFinished = false;
  /** All that will be published is in the queue, or was. */
  #isWritten = false;
  #isAbandoned = false;
  /** @type {object[]} */
  #queue = [];

  /**
   * @param {import("./server.js").Server} server
   * @param {string} run
   */
  constructor(server, run) {
    this.#server = server;
    this.run = run;
  }

  /**
   * Starts the run, writes a piece of text every so many milliseconds until `finish`, and ends the
   * run. Done once everything is acknowledged.
   *
   * @param {{ everyMs?: number }} [options]
   */
  async stream({ everyMs = 10 } = {}) {
    await Promise.all([this.#write(everyMs), this.#send()]);
  }

  /** Lets `stream` come to its end. */
  finish() {
    this.#isFinished = true;
  }

  /** Gives up, for the end of a test that has failed. */
  abandon() {
    this.#isFinished = true;
    this.#isAbandoned = true;
  }

  async #write(everyMs) {
    this.#make("agent_started", { agent: "writer", message: "A long answer comes." });
    this.#make("agent_thinking", { text: "How shall I begin?" });
    const began = performance.now();
    for (let n = 0; !this.#isFinished; n += 1) {
      this.#make("message_delta", { message_id: "answer", text: piece(n) });
      // By the clock, so that a slow timer does not slow the stream.
      await pause(Math.max(0, began + (n + 1) * everyMs - performance.now()));
    }
    this.#make("agent_completed", {});
    this.#isWritten = true;
  }

  #make(type, data) {
    const event = { id: randomUUID(), run: this.run, type, at: Date.now(), data };
    this.made.push(event);
    this.#queue.push(event);
  }

  async #send() {
    while (!this.#isAbandoned && (!this.#isWritten || this.#queue.length > 0)) {
      const batch = this.#queue.slice(0, BATCH_MAX);
      const done = batch.length === 0 ? 0 : await this.#publish(batch);
      this.#queue.splice(0, done);
      if (done === 0) await pause(batch.length === 0 ? 1 : RETRY_MS);
    }
  }

  /** Publishes events; gives how many of the first ones are in the log now. */
  async #publish(batch) {
    let answer;
    try {
      answer = await this.#server.fetch("/v1/events", batch);
      if (answer.status >= 500 || answer.status === 429) throw new Error(String(answer.status));
      answer = { status: answer.status, body: await answer.json() };
    } catch {
      this.retries += 1;
      return 0;
    }
    const { results } = answer.body;
    if (!results) throw new Error(`the publisher was refused: ${JSON.stringify(answer)}`);
    let done = 0;
    for (const [place, { id, seq, duplicate, error }] of results.entries()) {
      if (error) {
        if (!TRANSIENT.has(error.code)) throw new Error(`an event was refused: ${JSON.stringify(error)}`);
        this.retries += 1;
        break;
      }
      if (id !== batch[place].id) throw new Error(`result ${place} is about ${id}, not ${batch[place].id}`);
      this.acked.set(id, seq);
      if (duplicate) this.duplicates += 1;
      done += 1;
    }
    return done;
  }
}

const WORDS = ["river", "über", "thread", "naïve", "漢字", "loom", "weft", "🧵", "shuttle", "Ωmega"];

/** A piece of text. Pieces end inside words; every fiftieth begins a paragraph. */
function piece(n) {
  const word = WORDS[n % WORDS.length];
  if (n % 50 === 49) return `\n\nPart ${n} `;
  return n % 2 === 0 ? `${word} w` : `${n} `;
}
