import { diceOf } from "./random.js";

/** How long a publisher waits before it publishes again what was not answered, milliseconds. */
const AGAIN_MS = 100;

/**
 * Publishes runs to a thread as agents do: thoughts, tools, text, ends. What is not answered is published
 * again under the same ids until it is stored, whatever happens to the server meanwhile.
 */
export class Agent {
  /** Events that were stored. */
  stored = 0;
  #server;
  #thread;
  #dice;
  #run;
  #tool;
  #message = 0;
  #at = 1_700_000_000_000;

  constructor(server, thread, seed) {
    this.#server = server;
    this.#thread = thread;
    this.#dice = diceOf(seed);
  }

  /** Publishes so many events that come next, in one request. */
  async publish(count = 1) {
    const events = Array.from({ length: count }, () => this.#next());
    await this.#store(events);
  }

  /** Ends what goes on. */
  async end() {
    if (this.#run) await this.#store([this.#event("agent_completed", {})]);
    this.#run = this.#tool = undefined;
  }

  #next() {
    const dice = this.#dice;
    if (!this.#run) {
      const id = Array.from({ length: 8 }, () => dice.below(16).toString(16)).join("");
      this.#run = `${this.#thread}_run_${this.#at}_${id}`;
      return this.#event("agent_started", { agent: "torture" });
    }
    if (this.#tool && dice.chance(0.5)) {
      const call_id = this.#tool;
      this.#tool = undefined;
      return this.#event("tool_completed", { call_id, output: { found: dice.below(100) } });
    }
    const what = dice.below(20);
    if (what === 0) {
      const [type, data] = dice.of([
        ["agent_completed", { usage: { tokens: 3 } }],
        ["agent_failed", { code: "tired", message: "no more" }],
      ]);
      const ending = this.#event(type, data);
      this.#run = this.#tool = undefined;
      return ending;
    }
    if (what < 3 && !this.#tool) {
      this.#tool = `call_${dice.below(1e9)}`;
      return this.#event("tool_executing", { call_id: this.#tool, tool: "search", input: { of: what } });
    }
    if (what < 5) return this.#event("agent_thinking", { text: `thought ${dice.below(1000)} ` });
    if (what === 5) return this.#event("custom", { name: "example.com/x", value: [dice.below(9), null] });
    if (what === 6) this.#message += 1;
    const text = `größe ${dice.below(1000)} 🎈`.repeat(dice.between(1, 4));
    return this.#event("message_delta", { message_id: `m${this.#message}`, text });
  }

  #event(type, data) {
    // Several in one millisecond, as with real agents.
    this.#at += this.#dice.below(2);
    return { id: crypto.randomUUID(), run: this.#run, type, at: this.#at, data };
  }

  async #store(events) {
    for (;;) {
      const results = await this.#server.post("/v1/events", events).then(
        (answer) => answer.results,
        () => undefined,
      );
      const refused = results?.find(({ error }) => error);
      if (results && !refused) break;
      if (refused && refused.error.retry_after_ms === undefined) {
        throw new Error(`${this.#thread}: ${JSON.stringify(refused)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
    this.stored += events.length;
  }
}
