import { troubleOf } from "./trouble.js";
import init, { Stream } from "./rethread_fallback.js";

/** How long it is remembered that a server's WebSocket is blocked, milliseconds; then it is tried again. */
const KEPT_MS = 10 * 60_000;
/** How long after the first connection of a page it is tried again, milliseconds. */
const SOON_MS = 5000;
/** How long the server may take to say that it is alive, milliseconds. */
const HEALTH_MS = 5000;
/** How long a WebSocket may take to show that it works, milliseconds. */
const TRIAL_MS = 10_000;
/** A code that says to come back (4000 to 4499). */
const COME_BACK = 4000;

/** Loads nothing yet: most servers that do not answer are down, and nothing is in the way. */
export const load = async (source) => ({
  detour: (...told) => detour(source === undefined ? undefined : { module_or_path: source }, ...told),
});

const ways = new Map();

/**
 * Decides how the next connection to a server is made.
 *
 * @param failed how many failed in a row; 0 at the beginning, when it is remembered.
 * @returns what opens it, as `openSocket`, which says "sse" to `opened` where that is so; and what is
 *   wrong, for a person, where that is known.
 */
async function detour(source, address, openSocket, failed) {
  if (!ways.has(address)) ways.set(address, new Way(address, openSocket));
  const way = ways.get(address);
  await way.judge(failed, source);
  return [way.open, way.reason];
}

/** How a server is reached: over a WebSocket, or around what blocks that. */
class Way {
  /** What is wrong, where that is known: by what a stream was answered with, or by how the server is. */
  reason;
  #refusal;
  #address;
  #openSocket;
  #isBlocked = false;
  /** Up to when nothing is to be asked, by the clock that does not jump. */
  #restsUntil = 0;

  constructor(address, openSocket) {
    this.#address = address;
    this.#openSocket = openSocket;
  }

  /** When one way fails and the server can be reached, it is the other's turn. */
  async judge(failed, source) {
    if (this.#restsUntil > performance.now()) return;
    // The first look since a connection that was good.
    if (failed <= 2) this.#refusal = undefined;
    if (failed > 0 && !(await this.#isAlive())) return;
    const isBlocked = failed === 0 || !this.#isBlocked;
    // Once for the page.
    if (isBlocked) await init(source);
    else this.#remember(false);
    this.#isBlocked = isBlocked;
  }

  open = (address, hear) => {
    if (this.#restsUntil > performance.now()) return this.#rest(hear);
    return this.#isBlocked ? this.#openStream(hear) : this.#openSocket(address, hear);
  };

  /** A connection that is none: it says only when to come back. */
  #rest(hear) {
    let isOver = false;
    queueMicrotask(() => {
      if (!isOver) hear.opened();
      if (!isOver) this.#sendAway(hear);
    });
    return {
      send: () => {},
      close: () => {
        isOver = true;
      },
    };
  }

  /** Ends a connection as a server does that names a time. */
  #sendAway(hear) {
    const retry_after_ms = Math.ceil(this.#restsUntil - performance.now());
    if (retry_after_ms > 0) hear.frame({ op: "goodbye", reason: "retry_after", retry_after_ms });
    hear.closed(0);
  }

  /** Looks at an answer that may not be what was asked for; gives what is wrong with it. */
  async #look(answer) {
    const { reason, retryAfterMs } = await troubleOf(answer);
    this.#restsUntil = performance.now() + retryAfterMs;
    return reason;
  }

  #openStream(hear) {
    let hello;
    let timer;
    let isOver = false;
    const end = () => {
      clearTimeout(timer);
      isOver = true;
    };
    const stream = new Stream(this.#at("v1/stream"), {
      frame: (frame) => {
        if (frame?.op === "welcome" && !timer) {
          this.#remember(true);
          timer = setTimeout(tryAgain, SOON_MS);
        }
        hear.frame(frame);
      },
      closed: (code) => {
        end();
        hear.closed(code);
      },
      refused: async (answer) => {
        clearTimeout(timer);
        this.reason = this.#refusal = await this.#look(answer);
        if (isOver) return;
        end();
        stream.close();
        this.#sendAway(hear);
      },
    });
    const tryAgain = async () => {
      const works = await this.#works(hello);
      if (isOver) return;
      this.#remember(!works);
      if (works) {
        this.#isBlocked = false;
        end();
        stream.close();
        hear.closed(COME_BACK, true);
      } else timer = setTimeout(tryAgain, KEPT_MS);
    };
    // Who opens a connection hears that it is open when it has it. The first frame opens this one.
    queueMicrotask(() => isOver || hear.opened("sse"));
    return {
      send: (frame) => {
        if (frame.op === "hello") hello = frame;
        stream.send(frame);
      },
      close: () => {
        end();
        stream.close();
      },
    };
  }

  /** Whether a WebSocket carries frames: some proxies let its handshake pass, and nothing after it. */
  #works(hello) {
    return new Promise((resolve) => {
      const done = (works) => {
        clearTimeout(timer);
        socket.close(1000);
        resolve(works);
      };
      const timer = setTimeout(() => done(false), TRIAL_MS);
      const socket = this.#openSocket(this.#address, {
        opened: () => socket.send(hello),
        frame: (frame) => done(frame?.op === "welcome"),
        closed: () => done(false),
      });
    });
  }

  async #isAlive() {
    try {
      const signal = AbortSignal.timeout(HEALTH_MS);
      const asking = { cache: "no-store", redirect: "manual", signal };
      const answer = await fetch(this.#at("healthz"), asking);
      const reason = await this.#look(answer);
      this.reason = answer.ok ? (this.#refusal ?? reason) : reason;
      return answer.ok;
    } catch {
      this.reason = undefined;
      return false;
    }
  }

  /** The address of another endpoint of the server. */
  #at(endpoint) {
    return this.#address.replace(/^ws/, "http").replace(/v1\/ws(?=$|\?)/, endpoint);
  }

  /** For the pages after this one. */
  #remember(isBlocked) {
    try {
      const name = `rethread sse ${this.#address}`;
      if (isBlocked) localStorage.setItem(name, Date.now() + KEPT_MS);
      else localStorage.removeItem(name);
    } catch {
      // Each page finds out for itself.
    }
  }
}
