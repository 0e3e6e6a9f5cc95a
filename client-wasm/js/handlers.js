import { tell } from "./error.js";

/** Handlers of one kind, called in the order in which they were added. */
export class Handlers {
  #list = [];

  /** Adds one; gives the function that takes it off. */
  add(handler) {
    if (typeof handler !== "function") throw new TypeError("a handler is a function");
    const entry = { handler, active: true };
    this.#list = [...this.#list, entry];
    return () => {
      entry.active = false;
      this.#list = this.#list.filter((other) => other !== entry);
    };
  }

  get size() {
    return this.#list.length;
  }

  /** Calls those that were there at the beginning of the call and have not been taken off since. */
  call(what, about) {
    for (const entry of this.#list) {
      if (entry.active) tell(entry.handler, what, about);
    }
  }

  clear() {
    for (const entry of this.#list) entry.active = false;
    this.#list = [];
  }
}
