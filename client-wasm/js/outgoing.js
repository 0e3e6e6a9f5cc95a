/**
 * What a thread's application wants done and the log does not show yet: messages and cancels, oldest
 * first, each with its state. A list that was given out is not changed; there is a new one instead.
 */
export class Outgoing {
  list = [];
  #changed;

  constructor(changed) {
    this.#changed = changed;
  }

  /** Adds a command, or begins one anew that has failed. */
  begin(entry) {
    this.#set([...this.list.filter(({ id }) => id !== entry.id), { ...entry, state: "queued" }]);
  }

  /** A command has come further. */
  move(id, change) {
    if (!this.list.some((entry) => entry.id === id)) return;
    this.#set(this.list.map((entry) => (entry.id === id ? { ...entry, ...change } : entry)));
  }

  /** The log shows it, or nobody wants it any more. */
  remove(id) {
    const left = this.list.filter((entry) => entry.id !== id);
    if (left.length < this.list.length) this.#set(left);
  }

  /** The connection is gone: what was under way goes out again on the next. */
  requeue() {
    if (!this.list.some(({ state }) => state === "sent")) return;
    this.#set(
      this.list.map((entry) => (entry.state === "sent" ? { ...entry, state: "queued" } : entry)),
    );
  }

  #set(list) {
    this.list = list;
    this.#changed(list);
  }
}
