/** Commands that the log does not have yet, kept so that a reload does not lose them. */
export class Outbox {
  #database;
  #mine;
  #leave = () => {};
  #last = Promise.resolve();

  constructor(database, name) {
    this.#database = database;
    this.#mine = `${name} ${crypto.randomUUID()}`;
    // Held as long as this page lives: its commands are then its own matter.
    const lives = new Promise((resolve) => (this.#leave = resolve));
    globalThis.navigator?.locks?.request(this.#mine, () => lives).catch(() => {});
  }

  /** Keeps a command until `remove`; one that is kept already stays in its place. */
  add(command) {
    return this.#inTurn(async () => {
      const { place } = (await this.#find(command.id)) ?? {};
      await this.#database.run(["outbox"], "readwrite", (outbox) =>
        outbox.put({ ...(place && { place }), ...command, page: this.#mine }),
      );
    });
  }

  remove(id) {
    return this.#inTurn(async () => {
      const row = await this.#find(id);
      if (row) await this.#database.run(["outbox"], "readwrite", (outbox) => outbox.delete(row.place));
    });
  }

  /** The commands of pages that are gone, oldest first; from now on they are this page's. */
  adopt() {
    return this.#inTurn(async () => {
      const rows = await this.#database.run(["outbox"], "readonly", (outbox) => outbox.getAll());
      if (!rows?.length) return [];
      const alive = await namesOfLocks();
      const left = rows.filter(({ page }) => page !== this.#mine && !alive.has(page));
      await this.#database.run(["outbox"], "readwrite", (outbox) => {
        for (const row of left) outbox.put({ ...row, page: this.#mine });
      });
      return left;
    });
  }

  /** What is left is for the next page, or for another client of this one. */
  close() {
    this.#leave();
  }

  /** One after the other: a command that is done at once must not be kept after that. */
  #inTurn(work) {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }

  async #find(id) {
    const rows = await this.#database.run(["outbox"], "readonly", (outbox) => outbox.getAll());
    return rows?.find((row) => row.id === id);
  }
}

/** The locks that are held: each names a page that lives. */
async function namesOfLocks() {
  try {
    const { held } = await navigator.locks.query();
    return new Set(held.map(({ name }) => name));
  } catch {
    return new Set();
  }
}
