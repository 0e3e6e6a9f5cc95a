/** What the events of all threads may take, characters of JSON; the least recently used go first. */
const CHARS_MAX = 50_000_000;
/** What one thread may take. A longer one is not kept. */
const THREAD_CHARS_MAX = 20_000_000;
/** How long a thread is kept that nobody opens, milliseconds: a week. */
const AGE_MS_MAX = 7 * 24 * 3_600_000;
/** A chunk that is larger is not added to. */
const CHUNK_CHARS = 65_536;
/** How long events wait to be written together, milliseconds. */
const WRITE_MS = 250;
/** Events that are turned into text at a time; between, the page gets its turn. */
const WRITE_EVENTS = 512;

/** The events of threads, as rows of chunks of JSON text. */
export class Cache {
  #database;
  /** By thread: its row, the text of its last chunk, and the events that wait. */
  #threads = new Map();
  #timer = 0;
  #isWriting = false;

  constructor(database) {
    this.#database = database;
    void this.#sweep();
    // What waits would be lost with the page; a transaction that has begun is finished.
    globalThis.addEventListener?.("pagehide", () => void this.#write(true));
  }

  /** A thread's events from its first, with their epoch; undefined where there are none. */
  async read(thread) {
    const range = IDBKeyRange.bound([thread, 0], [thread, Infinity]);
    const [row, chunks] = (await Promise.all([
      this.#database.run(["threads"], "readonly", (threads) => threads.get(thread)),
      this.#database.run(["chunks"], "readonly", (store) => store.getAll(range)),
    ])) ?? [];
    if (!row || !chunks?.length) return undefined;
    try {
      return this.#whole(row, chunks);
    } catch {
      await this.wipe(thread);
      return undefined;
    }
  }

  /** Keeps events that were delivered. Those that do not continue what is kept are not kept. */
  write(thread, epoch, first, events) {
    if (!this.#database.isThere) return;
    let kept = this.#threads.get(thread);
    if (!kept) {
      // Only a whole log is of use: from its first event.
      if (first !== 1) return;
      kept = { row: { thread, epoch, last: 0, chars: 0 }, chunk: undefined, waiting: [], last: 0 };
      this.#threads.set(thread, kept);
    }
    if (kept.row.epoch !== epoch || first > kept.last + 1 || kept.row.chars > THREAD_CHARS_MAX) return;
    for (const event of events) if (event.seq > kept.last) kept.waiting.push(event);
    kept.last = events.at(-1).seq;
    this.#timer ||= setTimeout(() => void this.#write(false), WRITE_MS);
  }

  /** Forgets a thread: its log was made anew. */
  async wipe(thread) {
    this.#threads.delete(thread);
    await this.#drop([thread]);
  }

  /** Puts the chunks together; where they do not join, what comes before is good. */
  #whole(row, chunks) {
    const events = [];
    let tail;
    for (const chunk of chunks) {
      if (chunk.epoch !== row.epoch || chunk.first > events.length + 1) break;
      for (const event of JSON.parse(`[${chunk.text}]`)) {
        if (event.seq === events.length + 1) events.push(event);
      }
      tail = chunk;
    }
    if (events.length === 0) throw new Error("a thread without its first events");
    const { epoch } = row;
    const last = events.length;
    this.#threads.set(row.thread, {
      row: { ...row, last }, chunk: tail.last === last ? tail : undefined, waiting: [], last,
    });
    void this.#database.run(["threads"], "readwrite", (threads) => {
      threads.put({ ...row, last, used: Date.now() });
    });
    return { epoch, events };
  }

  async #write(atOnce) {
    clearTimeout(this.#timer);
    this.#timer = 0;
    if (this.#isWriting && !atOnce) return;
    this.#isWriting = true;
    for (const [thread, kept] of this.#threads) {
      try {
        while (kept.waiting.length > 0 && this.#database.isThere) {
          const written = this.#put(kept, kept.waiting.splice(0, atOnce ? Infinity : WRITE_EVENTS));
          if (!atOnce) {
            await written;
            await new Promise((resolve) => setTimeout(resolve));
          }
        }
      } catch {
        // An application that has put into an event what is no JSON: nothing of it is kept.
        await this.wipe(thread);
      }
    }
    this.#isWriting = false;
  }

  #put(kept, events) {
    const text = JSON.stringify(events).slice(1, -1);
    const { row } = kept;
    const { thread, epoch } = row;
    if (kept.chunk && kept.chunk.text.length < CHUNK_CHARS) {
      kept.chunk = { ...kept.chunk, text: `${kept.chunk.text},${text}`, last: events.at(-1).seq };
    } else {
      kept.chunk = { thread, epoch, first: events[0].seq, last: events.at(-1).seq, text };
    }
    Object.assign(row, { last: kept.chunk.last, chars: row.chars + text.length, used: Date.now() });
    const isTooLong = row.chars > THREAD_CHARS_MAX;
    if (isTooLong) return this.#drop([thread]);
    return this.#database.run(["threads", "chunks"], "readwrite", (threads, chunks) => {
      threads.put({ ...row });
      chunks.put(kept.chunk);
    });
  }

  /** Drops what is old, and what is too much. */
  async #sweep() {
    const rows = await this.#database.run(["threads"], "readonly", (threads) => threads.getAll());
    if (!rows?.length) return;
    rows.sort((a, b) => b.used - a.used);
    let chars = 0;
    const dropped = rows.filter((row) => {
      chars += row.chars;
      return chars > CHARS_MAX || row.used < Date.now() - AGE_MS_MAX;
    });
    await this.#drop(dropped.map(({ thread }) => thread));
  }

  #drop(dropped) {
    if (dropped.length === 0) return undefined;
    return this.#database.run(["threads", "chunks"], "readwrite", (threads, chunks) => {
      for (const thread of dropped) {
        threads.delete(thread);
        chunks.delete(IDBKeyRange.bound([thread, 0], [thread, Infinity]));
      }
    });
  }
}
