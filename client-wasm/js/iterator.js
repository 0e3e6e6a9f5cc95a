// What a loop may leave waiting before the thread is paused, and where it goes on again.
const WAITING_MAX = 4096;
const WAITING_LOW = 1024;

/** A thread's events for one `for await` loop: a bounded queue between the thread and the loop. */
export class EventIterator {
  #thread;
  #waiting = [];
  #next = 0;
  #wanted = [];
  #end = null;

  /** @param thread what is told `full`, `hungry` and `left` about this loop. */
  constructor(thread) {
    this.#thread = thread;
  }

  push(events) {
    for (const event of events) {
      const wanted = this.#wanted.shift();
      if (wanted) wanted.resolve({ value: event, done: false });
      else this.#waiting.push(event);
    }
    if (this.#left() >= WAITING_MAX) this.#thread.full(this);
  }

  /** No more comes: the loop ends, or gets the error, after what waits; or at once. */
  finish(error, { atOnce = false } = {}) {
    if (this.#end) return;
    this.#end = { error };
    if (atOnce) this.#drop();
    for (const wanted of this.#wanted.splice(0)) this.#settle(wanted);
  }

  next() {
    return new Promise((resolve, reject) => {
      if (this.#left() > 0) {
        resolve({ value: this.#take(), done: false });
        if (this.#left() <= WAITING_LOW) this.#thread.hungry(this);
      } else if (this.#end) this.#settle({ resolve, reject });
      else this.#wanted.push({ resolve, reject });
    });
  }

  /** The loop was left. */
  return(value) {
    this.#thread.left(this);
    this.finish(undefined, { atOnce: true });
    return Promise.resolve({ value, done: true });
  }

  [Symbol.asyncIterator]() {
    return this;
  }

  #left() {
    return this.#waiting.length - this.#next;
  }

  #take() {
    const event = this.#waiting[this.#next];
    this.#waiting[this.#next++] = undefined;
    if (this.#next === this.#waiting.length) this.#drop();
    return event;
  }

  #drop() {
    this.#waiting = [];
    this.#next = 0;
  }

  /** An error is thrown once; after that the loop is over. */
  #settle({ resolve, reject }) {
    const { error } = this.#end;
    this.#end = {};
    if (error) reject(error);
    else resolve({ value: undefined, done: true });
  }
}
