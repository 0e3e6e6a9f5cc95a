import { part } from "./parts.js";

/** Set by the store once it keeps something; see database.js. */
const MARK = "rethread";
/** A page that has nothing kept loads the store when it has time, milliseconds after it is online. */
const LATER_MS = 1000;
/** How long a thread waits for what is kept of it before it asks the server for all, milliseconds. */
const PATIENCE_MS = 3000;
/** Batches of events that wait for the store. */
const EARLY_MAX = 4096;

/** What this browser keeps by a name. */
export function kept(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    // No storage at all.
  }
}

/**
 * What is kept in this browser between two loads of the page: a page that has something kept reads
 * that first; one that has nothing loads what it takes later.
 */
export class Keeping {
  #address;
  #trouble;
  #isMarked;
  #knowUser;
  #store;
  #there;
  /** What is to be done once the store is there; undefined when there will be none. */
  #early = [];

  /** @param trouble is told why nothing is kept. */
  constructor(address, isWanted, trouble) {
    this.#address = address;
    this.#trouble = trouble;
    const user = new Promise((resolve) => (this.#knowUser = resolve));
    if (isWanted) {
      // In a worker there is nothing to see, and something may be kept.
      this.#isMarked = kept(MARK) !== null;
      this.#store = user.then((name) => this.#open(name));
    } else this.#early = undefined;
  }

  /** Says whose threads these are; nothing is kept for nobody. */
  known(user) {
    this.#knowUser(user);
  }

  /** The events of a thread from its first, with their epoch, where they are kept. */
  async read(thread) {
    if (!this.#isMarked) return undefined;
    const tooLong = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS));
    const store = await Promise.race([this.#store, tooLong]);
    return store && Promise.race([store.cache.read(thread), tooLong]);
  }

  /** Once the store is there; what comes early waits for it. */
  do(work) {
    if (this.#there) work(this.#there);
    else if (this.#early && this.#early.length < EARLY_MAX) this.#early.push(work);
    else this.#early = undefined;
  }

  /** Deletes what is kept of this user. */
  async forget() {
    await (await this.#store)?.forget();
    this.#there = this.#early = undefined;
  }

  close() {
    // Who waits for a user waits no more.
    this.#knowUser();
    this.do((store) => store.close());
  }

  async #open(user) {
    try {
      if (!user) throw new Error("the token names no user; give `user`");
      if (!this.#isMarked) await new Promise((resolve) => setTimeout(resolve, LATER_MS));
      const { openStore } = await part("store");
      const store = await openStore(`rethread ${this.#address} ${user}`, this.#trouble);
      this.#early?.forEach((work) => work(store));
      if (this.#early) this.#there = store;
      return this.#there;
    } catch (cause) {
      this.#trouble(cause?.message ?? String(cause));
      return undefined;
    } finally {
      this.#early = undefined;
    }
  }
}
