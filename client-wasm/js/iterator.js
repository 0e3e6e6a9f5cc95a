import { surePart } from "./parts.js";

/**
 * A thread's events for one `for await` loop. The queue between them is a part that is loaded when
 * the first loop begins; what comes until then waits for it.
 */
export class EventIterator {
  #made;
  #queue;
  #early = [];

  /** @param thread what is told `full`, `hungry` and `left` about this loop. */
  constructor(thread) {
    this.#made = surePart("loop").then(({ makeQueue }) => {
      this.#queue = makeQueue(thread);
      for (const [what, about] of this.#early) this.#queue[what](about);
      return this.#queue;
    });
  }

  /** True once the loop has been told of a reset, until it asks for more. */
  get isVoid() {
    return this.#queue?.isVoid;
  }

  /** The same for a loop that begins again. */
  again() {
    this.#queue.again();
    return this;
  }

  /** Tells it of events ("push"), of a reset or of the end ("finish"). */
  tell(what, about) {
    if (this.#queue) this.#queue[what](about);
    else this.#early.push([what, about]);
  }

  async next() {
    return (await this.#made).next();
  }

  /** The loop was left. */
  async return(value) {
    return (await this.#made).return(value);
  }

  [Symbol.asyncIterator]() {
    return this;
  }
}
