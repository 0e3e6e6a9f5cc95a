/** Changes when what is stored has another form; what is of an older one is thrown away. */
const VERSION = 1;

/** How long a database may take to open, milliseconds: another tab may hold an older version. */
const OPEN_MS = 2000;

/** Where a page can see without asking a database that something is kept. */
const MARK = "rethread";

/** Opens the database of this name; never fails, see `Database`. */
export async function openDatabase(name, trouble) {
  const database = new Database(name, trouble);
  await database.open();
  return database;
}

/**
 * A database that may go away at any time: `run` then gives undefined, here and from then on, and
 * the trouble is told once.
 */
class Database {
  #name;
  #trouble;
  #open;

  constructor(name, trouble) {
    this.#name = name;
    this.#trouble = trouble;
  }

  async open() {
    try {
      this.#open = await opened(this.#name);
      this.#open.onclose = () => this.#lost("the browser has closed its database");
      this.#open.onversionchange = ({ newVersion }) => {
        this.#open?.close();
        const opened = "a newer version of this page has opened its database";
        this.#lost(newVersion === null ? "its database was deleted" : opened);
      };
      globalThis.localStorage?.setItem(MARK, "1");
    } catch (cause) {
      this.#lost(cause?.message ?? String(cause));
    }
  }

  get isThere() {
    return this.#open !== undefined;
  }

  /**
   * Runs `work(store, …)` in one transaction over these stores. Gives what the request that it
   * returns brings, once everything is written.
   */
  async run(stores, mode, work) {
    if (!this.#open) return undefined;
    try {
      return await new Promise((resolve, reject) => {
        const transaction = this.#open.transaction(stores, mode, { durability: "relaxed" });
        const request = work(...stores.map((store) => transaction.objectStore(store)));
        transaction.oncomplete = () => resolve(request?.result);
        transaction.onabort = () => reject(transaction.error ?? new Error("a transaction was aborted"));
      });
    } catch (cause) {
      this.#lost(cause?.message ?? String(cause));
      return undefined;
    }
  }

  close() {
    this.#open?.close();
    this.#open = undefined;
  }

  async forget() {
    this.close();
    await new Promise((resolve) => {
      const request = indexedDB.deleteDatabase(this.#name);
      request.onsuccess = request.onerror = request.onblocked = resolve;
    });
  }

  #lost(why) {
    if (!this.#trouble) return;
    this.close();
    this.#trouble(why);
    this.#trouble = undefined;
  }
}

function opened(name) {
  return new Promise((resolve, reject) => {
    if (!globalThis.indexedDB) throw new Error("there is no IndexedDB");
    const tooLong = setTimeout(() => reject(new Error("its database does not open")), OPEN_MS);
    const request = indexedDB.open(name, VERSION);
    request.onupgradeneeded = () => {
      const { result: database } = request;
      for (const old of [...database.objectStoreNames]) database.deleteObjectStore(old);
      database.createObjectStore("threads", { keyPath: "thread" });
      database.createObjectStore("chunks", { keyPath: ["thread", "first"] });
      database.createObjectStore("outbox", { keyPath: "place", autoIncrement: true });
    };
    request.onsuccess = () => {
      clearTimeout(tooLong);
      resolve(request.result);
    };
    request.onerror = () => {
      clearTimeout(tooLong);
      reject(request.error);
    };
  });
}
