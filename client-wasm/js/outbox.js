/** Commands that the log does not have yet, kept so that a reload does not lose them. */
export class Outbox {
  #database;
  #mine;

  constructor(database, name) {
    this.#database = database;
    this.#mine = `${name} ${crypto.randomUUID()}`;
    // Held as long as this page lives: its commands are then its own matter.
    void globalThis.navigator?.locks?.request(this.#mine, () => new Promise(() => {}));
  }

  /** Keeps a command until `remove`; one that is kept already stays in its place. */
  async add(command) {
    const { place } = (await this.#find(command.id)) ?? {};
    await this.#database.run(["outbox"], "readwrite", (outbox) =>
      outbox.put({ ...(place && { place }), ...command, page: this.#mine }),
    );
  }

  async remove(id) {
    const row = await this.#find(id);
    if (row) await this.#database.run(["outbox"], "readwrite", (outbox) => outbox.delete(row.place));
  }

  /** The commands of pages that are gone, oldest first; from now on they are this page's. */
  async adopt() {
    const rows = await this.#database.run(["outbox"], "readonly", (outbox) => outbox.getAll());
    if (!rows?.length) return [];
    const { held = [] } = (await globalThis.navigator?.locks?.query()) ?? {};
    const alive = new Set(held.map(({ name }) => name));
    const left = rows.filter(({ page }) => page !== this.#mine && !alive.has(page));
    await this.#database.run(["outbox"], "readwrite", (outbox) => {
      for (const row of left) outbox.put({ ...row, page: this.#mine });
    });
    return left;
  }

  async #find(id) {
    const rows = await this.#database.run(["outbox"], "readonly", (outbox) => outbox.getAll());
    return rows?.find((row) => row.id === id);
  }
}
