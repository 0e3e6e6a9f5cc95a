import { Driver } from "./rethread.js";
import { RethreadError, call, fromWire, warn } from "./error.js";
import { Handlers } from "./handlers.js";
import { Keeping, kept } from "./keeping.js";
import { listenToPage } from "./page.js";
import { part } from "./parts.js";
import { openSocket } from "./socket.js";
import { statusOf } from "./status.js";
import { Thread } from "./thread.js";

/** Events of a replay between two statuses that count them, after the first. */
const REPLAY_STEP = 500;
// The longest that browsers wait; what is longer would fire at once.
const WAIT_MS_MAX = 2 ** 31 - 1;

/** A connection; see index.d.ts. Around the driver: the timer, the token, the page, the threads. */
export class Client {
  #driver;
  #address;
  #token;
  /** The connection that the driver counts on, and its socket once it has one. */
  #connection = 0;
  #socket;
  /** How connections are opened: as `openSocket`, or around what blocks that once it is known. */
  #way = openSocket;
  #wayFound;
  #transport;
  #timer;
  #leavePage;
  #status = { state: "connecting", attempt: 1 };
  #handlers = new Handlers();
  #threads = new Map();
  /** Threads that are followed and do not yet have what happened before this connection. */
  #behind = new Set();
  #replayed = 0;
  /** The last connection was left for another, or not begun: it has not failed. */
  #moves;
  /** Commands that have not been answered. */
  #waiting = new Map();
  /** What a thread may ask of its client. */
  #hub = {
    start: (thread, after) => this.#start(thread, after),
    sources: undefined,
    follow: (id, how) => this.#do((driver) => driver.follow(id, how, 0)),
    leave: (thread, wasFollowing) => this.#leave(thread, wasFollowing),
    order: (thread, entry) => this.#order(thread, entry),
  };

  /** The sharing with other tabs: wished for, in the making or not to be had, or there. */
  #tabs;
  #mayShare;
  #user;

  #keeping;
  #memoryOnly;

  constructor(address, token, { parts, tabs, cache, user }) {
    this.#hub.sources = parts;
    this.#mayShare = tabs;
    this.#keeping = new Keeping(address, cache, (why) => {
      this.#memoryOnly = why;
      if (this.#status.state !== "closed") this.#set(this.#status);
    });
    if (user !== undefined) this.#keeping.known(user);
    this.#keeping.do((store) => void this.#adopt(store));
    const seed = crypto.getRandomValues(new Uint32Array(2));
    this.#address = address;
    this.#token = token;
    if (kept(`rethread sse ${address}`) > Date.now()) this.#wayFound = this.#detour(0);
    this.#driver = new Driver(seed[0] / 2 ** 32 + seed[1], this.#sink());
    this.#leavePage = listenToPage((what) =>
      what === "slept" ? this.#move() : this.#do((driver) => driver.page(what)),
    );
    this.#do((driver) => driver.page("connect"));
  }

  get status() {
    return this.#status;
  }

  on(type, handler) {
    if (type !== "status") {
      throw new RethreadError("bad_option", 'a client has "status" only');
    }
    return this.#handlers.add(handler);
  }

  thread(id, { after } = {}) {
    if (this.#status.state === "closed") throw fromWire({ code: "closed" });
    let thread = this.#threads.get(id);
    if (!thread) {
      const number = call(() => this.#driver.follow(id, "check", 0));
      thread = new Thread(this.#hub, id, number, startOf(after));
      this.#threads.set(id, thread);
    }
    return thread;
  }

  forget() {
    return this.#keeping.forget();
  }

  close() {
    if (this.#status.state === "closed") return;
    this.#do((driver) => driver.page("close"));
    // Within a handler the driver says so later, and nothing is to be heard until then.
    this.#changed(statusOf("closed", 0, 0, fromWire({ code: "closed" })));
  }

  /** Says something to the driver; what comes of it comes back through the sink. */
  #do(say) {
    const said = call(() => say(this.#driver));
    this.#driver.flush();
    return said;
  }

  #sink() {
    const thread = (id) => this.#threads.get(id);
    return guarded({
      dial: (connection, wantsNew) => void this.#dial(connection, wantsNew),
      transmit: (frame) => {
        this.#socket?.send(frame);
        const of = this.#waiting.get(frame.req)?.of;
        if (of) thread(of.thread)?._sent(of.id);
      },
      disconnect: (connection, code) => this.#disconnect(connection, code),
      wake: (waitMs) => this.#wake(waitMs),
      status: (state, failed, waitMs, why) => {
        if (state === "waiting" && failed > 1 && !this.#moves) this.#wayFound = this.#detour(failed);
        this.#changed(statusOf(state, failed, waitMs, state === "closed" ? fromWire(why) : why));
      },
      subscribed: (id, epoch, seq) => thread(id)?._subscribed(epoch, seq),
      events: (frame, dropped, replayed) => {
        const { thread: id, epoch, last } = frame;
        const events = dropped ? frame.events.slice(dropped) : frame.events;
        const first = frame.first + dropped;
        this.#keeping.do(({ cache }) => cache.write(id, epoch, first, events));
        thread(id)?._events(events, { first, last, epoch, replayed });
        if (!replayed) return;
        this.#replayed += events.length;
        this.#online();
      },
      caughtUp: (id) => this.#caughtUp(id),
      reset: (id, epoch, reason) => {
        this.#keeping.do(({ cache }) => cache.wipe(id));
        if (!thread(id)) return;
        this.#behind.add(id);
        this.#online();
        thread(id)?._reset(epoch, reason);
      },
      refused: (id, error) => {
        this.#keeping.do(({ cache }) => cache.wipe(id));
        this.#refused(thread(id), fromWire(error));
      },
      done: (command, run, seq) => this.#settle(command)?.resolve({ run, seq }),
      failed: (command, error) => this.#settle(command)?.reject(fromWire(error)),
      expiring: () => void this.#renew(),
      warn: (error) => warn(fromWire(error)),
    });
  }

  /** Brings the token for a dial, and opens the socket. */
  async #dial(connection, wantsNew) {
    this.#connection = connection;
    this.#socket = undefined;
    // Not within the driver's call: it is told when it listens again.
    await this.#wayFound;
    const token = await this.#bring(wantsNew);
    // Given up meanwhile; what comes late is not for the next.
    if (connection !== this.#connection) return;
    // Without a token nothing is tried that could be blocked.
    this.#moves = token === undefined;
    if (this.#moves) {
      // A token that is a string is the only one.
      this.#do((driver) => driver.closed(connection, typeof this.#token === "string" ? 1 : 0));
      return;
    }
    const { sub } = claimsOf(token);
    // Nothing of one user is mixed with another's.
    if ((this.#user ??= sub) !== sub) return this.#do((driver) => driver.closed(connection, 1));
    this.#keeping.known(sub);
    const hear = (say) => connection === this.#connection && this.#do(say);
    const open = this.#tabs ? (told) => this.#tabs.open(told) : this.#open;
    try {
      this.#socket = open({
        opened: (transport = "websocket") => {
          this.#transport = transport;
          hear((driver) => driver.greet(connection, token));
          this.#share(token).catch(() => {});
        },
        frame: (frame) =>
          frame?.op === "events"
            ? this.#events(connection, frame)
            : hear((driver) => driver.frame(connection, frame)),
        closed: (code, again) => {
          this.#moves = again;
          hear((driver) => driver.closed(connection, code));
          // Only the way to the server has changed: there is no reason to wait.
          if (again) this.#do((driver) => driver.page("again"));
        },
      });
    } catch (cause) {
      warn(cause);
      hear((driver) => driver.closed(connection, 0));
    }
  }

  /** What comes most often takes the shortest way. */
  #events(connection, frame) {
    const { thread, epoch, first, last, events } = frame;
    // As a number, -1 is none that a thread has.
    const number = this.#threads.get(thread)?._number ?? -1;
    const count = events?.length;
    this.#driver.events(connection, number, parseInt(epoch, 16), first, last, count, frame);
  }

  #open = (hear) => this.#way(this.#address, hear);

  /** WebSocket may be blocked: looks for a way around that, for the next dial. */
  async #detour(failed) {
    try {
      const { detour } = await part("fallback", this.#hub.sources);
      const [way, reason] = await detour(this.#address, openSocket, failed);
      this.#way = way;
      if (reason && this.#status.state === "waiting") this.#set({ ...this.#status, reason });
    } catch {
      // It goes on as it was.
    }
  }

  /** Once a connection stands: has it shared with other tabs from now on. */
  async #share(token) {
    if (!this.#mayShare) return;
    this.#mayShare = false;
    const { share } = await part("tabs");
    if (this.#status.state === "closed") return;
    this.#tabs = share(this.#address, claimsOf(token), this.#open, () => this.#move());
  }

  /** Leaves the connection there is for another: a shared one, or one that is not dead. */
  #move() {
    const connection = this.#connection;
    this.#disconnect(connection, 1000);
    this.#moves = true;
    this.#do((driver) => {
      driver.closed(connection, 0);
      driver.page("again");
    });
  }

  /** Brings a new token before the present one ends. */
  async #renew() {
    const connection = this.#connection;
    const token = typeof this.#token === "function" && (await this.#bring(true));
    if (!token || connection !== this.#connection) return;
    if (claimsOf(token).sub === this.#user) this.#do((driver) => driver.greet(connection, token));
  }

  async #bring(wantsNew) {
    const token = this.#token;
    if (typeof token === "string") return wantsNew ? undefined : token;
    try {
      const brought = await token({ refused: wantsNew });
      if (typeof brought !== "string") throw new TypeError("no string");
      return brought;
    } catch (cause) {
      warn(new RethreadError("token_failed", "no token; tries again", { cause }));
    }
  }

  #disconnect(connection, code) {
    if (connection !== this.#connection) return;
    this.#connection = 0;
    this.#socket?.close(code);
    this.#socket = undefined;
  }

  #wake(waitMs) {
    clearTimeout(this.#timer);
    const woken = () => this.#do((driver) => driver.page("woken"));
    // One more, for browsers round down.
    this.#timer = setTimeout(woken, Math.min(waitMs + 1, WAIT_MS_MAX));
  }

  /** Has a thread's command done, and kept in this browser until it is. */
  async #order(thread, { id, kind, text, agent, reason }) {
    bound(text, 65536, "event_too_large", "a message");
    bound(agent, 256, "bad_option", "`agent`");
    bound(reason, 256, "bad_option", "`reason`");
    const done = this.#ask(
      (driver) =>
        kind === "cancel" ? driver.cancel(id, reason) : driver.send(thread, text, agent, id),
      { id, thread },
    );
    this.#keeping.do(({ outbox }) => outbox.add({ id, kind, thread, text, agent, reason }));
    const over = () => this.#keeping.do(({ outbox }) => outbox.remove(id));
    // What was closed without an answer is asked again by the next page.
    done.then(over, ({ code }) => code !== "closed" && over());
    return done;
  }

  /** Does what pages before this one were asked for and had no time to do. */
  async #adopt({ outbox }) {
    for (const { id, kind, thread, text, agent, reason } of await outbox.adopt()) {
      if (this.#status.state === "closed") return;
      const conversation = this.thread(thread);
      const done =
        kind === "cancel"
          ? conversation.cancel(id, reason)
          : conversation.send(text, { agent, messageId: id });
      // Its state is shown; nobody waits for the promise.
      done.catch(() => {});
    }
  }

  /** A promise for the answer to the command that `begin` gives. */
  async #ask(begin, of) {
    if (this.#status.state === "closed") throw fromWire({ code: "closed" });
    return new Promise((resolve, reject) => {
      const command = call(() => begin(this.#driver));
      this.#waiting.set(command, { resolve, reject, of });
      this.#driver.flush();
    });
  }

  #settle(command) {
    const waiting = this.#waiting.get(command);
    this.#waiting.delete(command);
    return waiting;
  }

  async #start(thread, after) {
    this.#behind.add(thread.id);
    this.#online();
    const turn = ++thread._turn;
    const kept = after[0] === "start" ? await this.#keeping.read(thread.id) : undefined;
    if (kept && turn === thread._turn) {
      await thread._cached(kept.epoch, kept.events);
      after = [kept.epoch, kept.events.length];
    }
    if (turn !== thread._turn) return;
    try {
      this.#do((driver) => driver.follow(thread.id, ...after));
    } catch (error) {
      this.#refused(thread, error);
    }
  }

  /** A refused thread is of no more use: who asks for it again gets a new one. */
  #refused(thread, error) {
    if (!thread) return;
    this.#threads.delete(thread.id);
    this.#caughtUp(thread.id);
    thread._refused(error);
  }

  #leave(thread, wasFollowing) {
    if (this.#threads.get(thread.id) === thread) this.#threads.delete(thread.id);
    if (!wasFollowing) return;
    this.#hub.follow(thread.id, "leave");
    this.#caughtUp(thread.id);
  }

  #caughtUp(id) {
    if (this.#behind.delete(id)) this.#online();
  }

  /** Says how the threads fare while the connection is up. */
  #online() {
    const { state, caughtUp: was, replayed } = this.#status;
    const caughtUp = this.#behind.size === 0;
    const isMore = this.#replayed >= replayed + (replayed && !caughtUp ? REPLAY_STEP : 1);
    if (state !== "online" || (caughtUp === was && !isMore)) return;
    this.#set({ ...this.#status, caughtUp, replayed: this.#replayed });
  }

  #changed(status) {
    if (this.#status.state === "closed") return;
    if (status.state === "online") {
      this.#replayed = 0;
      const caughtUp = this.#behind.size === 0;
      status = { ...status, caughtUp, replayed: 0, transport: this.#transport };
    } else if (this.#status.state === "online") {
      // Every thread is asked for again on the next connection.
      for (const thread of this.#threads.values()) {
        if (thread._isFollowed) this.#behind.add(thread.id);
        thread._sent();
      }
    }
    this.#set(status);
    if (status.state === "closed") this.#ended(status);
  }

  #ended({ code, reason }) {
    clearTimeout(this.#timer);
    this.#leavePage?.();
    this.#tabs?.close();
    this.#keeping.close();
    const error = code === "closed" ? undefined : new RethreadError(code, reason);
    for (const thread of this.#threads.values()) thread._ended(error);
    this.#threads.clear();
    this.#handlers.clear();
  }

  #set(status) {
    if (this.#memoryOnly) status = { ...status, memoryOnly: this.#memoryOnly };
    this.#status = status;
    this.#handlers.call(status);
  }
}

/** Refuses here what the server would refuse: a frame that is much too large ends the connection. */
function bound(text, max, code, what) {
  if (text && new TextEncoder().encode(text).length > max) {
    throw new RethreadError(code, `${what} has at most ${max} bytes`);
  }
}

/** Makes functions that do not throw of these: the driver could not go on after that. */
function guarded(functions) {
  for (const name in functions) {
    const work = functions[name];
    // As many as the one that is told most: to gather them would cost each frame an array.
    functions[name] = (a, b, c, d) => {
      try {
        work(a, b, c, d);
      } catch (error) {
        console.error("Rethread:", error);
      }
    };
  }
  return functions;
}

/** What a token says of itself; nothing, where it is no JWT. Not to be trusted: only the server checks. */
function claimsOf(token) {
  try {
    return JSON.parse(atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/")));
  } catch {
    return {};
  }
}

/** Where a thread begins, as the driver takes it: a word, or an epoch and a seq. */
function startOf(after = "start") {
  if (after === "start" || after === "now") return [after, 0];
  if (typeof after?.epoch === "string" && Number.isSafeInteger(after.seq) && after.seq >= 0) {
    return [after.epoch, after.seq];
  }
  throw new RethreadError("bad_option", '`after` must be "start", "now" or {epoch, seq}', {
    received: JSON.stringify(after),
  });
}
