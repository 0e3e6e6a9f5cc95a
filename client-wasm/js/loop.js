// What a loop may leave waiting before the thread is paused, and where it goes on again.
const WAITING_MAX = 4096;
const WAITING_LOW = 1024;

export const load = async () => ({ makeQueue: (thread) => new Queue(thread) });

/** A thread's events for one `for await` loop: a bounded queue between the thread and the loop. */
class Queue {
  #thread;
  #waiting = [];
  #next = 0;
  #wanted = [];
  #end = null;
  #error = null;
  /** True once the loop has been told of a reset, until it asks for more. */
  isVoid = false;

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
    if (this.#left() >= WAITING_MAX) this.#thread.full();
  }

  /** What waits is void: the loop gets the error, and then what comes from now on. */
  reset(error) {
    this.#drop();
    this.#thread.hungry();
    if (this.isVoid) return;
    const wanted = this.#wanted.shift();
    if (wanted) this.#void(wanted, error);
    else this.#error = error;
  }

  #void({ reject }, error) {
    this.#error = null;
    this.isVoid = true;
    reject(error);
  }

  /** The loop begins again. */
  again() {
    this.isVoid = false;
  }

  /** No more comes: the loop ends, or gets the error, after what waits. */
  finish(error) {
    if (this.#end) return;
    this.#end = { error };
    for (const wanted of this.#wanted.splice(0)) this.#settle(wanted);
  }

  next() {
    this.isVoid = false;
    return new Promise((resolve, reject) => {
      if (this.#error) this.#void({ reject }, this.#error);
      else if (this.#left() > 0) {
        resolve({ value: this.#take(), done: false });
        if (this.#left() <= WAITING_LOW) this.#thread.hungry();
      } else if (this.#end) this.#settle({ resolve, reject });
      else this.#wanted.push({ resolve, reject });
    });
  }

  /** The loop was left. */
  return(value) {
    this.#thread.left();
    this.#drop();
    this.#error = null;
    this.finish();
    return Promise.resolve({ value, done: true });
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
