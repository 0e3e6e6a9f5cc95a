import { RethreadError } from "./error.js";
import { Handlers } from "./handlers.js";
import { EventIterator } from "./iterator.js";
import { newMessageId } from "./message_id.js";
import { Outgoing } from "./outgoing.js";
import { surePart } from "./parts.js";

/** The view before the first event. */
const NOTHING = Object.freeze({ seq: 0, runs: Object.freeze([]) });

/** Events of the cache that are handed out before the page gets its turn. */
const CACHED_SLICE = 512;

/** A conversation; see index.d.ts. What begins with `_` is for the client only. */
export class Thread {
  #id;
  #client;
  #after;
  #position = null;
  /** idle, then following; closed or refused at the end. */
  #state = "idle";
  #byType = new Map();
  #all = new Handlers();
  #batches = new Handlers();
  #resets = new Handlers();
  #errors = new Handlers();
  #iterators = new Set();
  #full = new Set();
  #refusal;
  /** Where the following began; what is delivered again for a view that was asked for late. */
  #begin;
  #views = new Handlers();
  /** The fold, once there is one; the events that wait for it until then. */
  #fold;
  #early;
  #folded;
  #view = NOTHING;
  #outboxes = new Handlers();
  #outgoing = new Outgoing((list) => this.#outboxes.call(list));
  /** Counts what makes an earlier start void: another start, a reset, the end. */
  _turn = 0;

  constructor(client, id, number, after) {
    this.#client = client;
    this.#id = id;
    this._number = number;
    this.#after = after;
  }

  get id() {
    return this.#id;
  }

  get position() {
    return this.#position && { ...this.#position };
  }

  on(type, handler) {
    return this.#attach(this.#handlers(type), handler);
  }

  onBatch(handler) {
    return this.#attach(this.#batches, handler);
  }

  events() {
    this.#mustBeOpen();
    // A loop that a reset has ended begins again where the log begins again.
    for (const old of this.#iterators) if (old.isVoid) return old.again();
    const iterator = new EventIterator({
      // One whose loop was not begun again holds up nobody.
      full: () => (iterator.isVoid ? iterator.tell("return") : this.#pause(iterator)),
      hungry: () => this.#resume(iterator),
      left: () => {
        this.#iterators.delete(iterator);
        this.#resume(iterator);
      },
    });
    if (this.#refusal) iterator.tell("finish", this.#refusal);
    else this.#iterators.add(iterator);
    this.#start();
    return iterator;
  }

  get view() {
    return this.#view;
  }

  onView(handler) {
    const off = this.#attach(this.#views, handler);
    if (!this.#early) this.#beginView();
    return off;
  }

  get outbox() {
    return this.#outgoing.list;
  }

  onOutbox(handler) {
    this.#mustBeOpen();
    return this.#outboxes.add(handler);
  }

  async send(text, { agent, messageId = newMessageId() } = {}) {
    const sent = await this.#order({ id: messageId, kind: "message", text: String(text), agent });
    return { ...sent, messageId };
  }

  async cancel(run, reason) {
    const cancelled = await this.#order({ id: run, kind: "cancel", reason });
    this.#outgoing.remove(run);
    return cancelled;
  }

  discard(id) {
    if (this.#outgoing.list.some((entry) => entry.id === id && entry.state === "failed")) {
      this.#outgoing.remove(id);
    }
  }

  close() {
    if (this.#state === "closed") return;
    const wasFollowing = this.#state === "following";
    this.#finish("closed");
    this.#client.leave(this, wasFollowing);
  }

  // What the client tells ------------------------------------------------------------------------

  get _isFollowed() {
    return this.#state === "following";
  }

  _subscribed(epoch, seq) {
    this.#begin ??= { epoch, seq };
    // What is delivered again for the view does not bring the handlers back.
    if (!(this.#position?.seq > seq)) this.#position = { epoch, seq };
  }

  /** A command is on its way; with no id, the connection of those that were is gone. */
  _sent(id) {
    if (id) this.#outgoing.move(id, { state: "sent" });
    else this.#outgoing.requeue();
  }

  /** What this browser has kept of the thread. Ends early when it is void. */
  async _cached(epoch, events) {
    const turn = this._turn;
    for (let from = 0; from < events.length; from += CACHED_SLICE) {
      const slice = events.slice(from, from + CACHED_SLICE);
      for (const event of slice) event.replayed = true;
      const info = { first: from + 1, last: from + slice.length, epoch, replayed: true };
      this.#begin ??= { epoch, seq: 0 };
      this._events(slice, info);
      // The page gets its turn.
      await new Promise((resolve) => setTimeout(resolve));
      if (turn !== this._turn) return;
    }
  }

  _events(events, info) {
    this.#foldLater(events);
    if (this.#outgoing.list.length > 0) {
      for (const { type, data } of events) {
        if (type === "user_message") this.#outgoing.remove(data.message_id);
      }
    }
    const { epoch } = info;
    if (this.#position?.seq >= info.first) {
      events = events.filter(({ seq }) => seq > this.#position.seq);
      if (events.length === 0) return;
      info.first = events[0].seq;
    }
    if (this.#all.size + this.#byType.size > 0) {
      for (const event of events) {
        this.#position = { epoch, seq: event.seq };
        this.#byType.get(event.type)?.call(event);
        this.#all.call(event);
        if (this.#state === "closed") return;
      }
    }
    this.#position = { epoch, seq: info.last };
    this.#batches.call(events, info);
    for (const iterator of this.#iterators) iterator.tell("push", events);
  }

  _reset(epoch, reason) {
    this._turn++;
    this.#position = null;
    this.#begin = undefined;
    if (this.#early) this.#early = [];
    this.#folded = undefined;
    this.#fold?.reset();
    const error = new RethreadError("reset", `what was received of ${this.#id} is void: ${reason}`);
    // Before the handlers: a loop that one of them begins has seen nothing that is void.
    for (const iterator of this.#iterators) iterator.tell("reset", error);
    this.#resets.call({ epoch, reason });
  }

  _refused(error) {
    this.#state = "refused";
    this.#refusal = error;
    if (this.#errors.size > 0) this.#errors.call(error);
    else console.error(`Rethread: ${this.#id} cannot be followed.`, error);
    this.#finishIterators(error);
  }

  /** The client is closed: by the page, or for the reason given. */
  _ended(error) {
    this.#finish("closed", error);
  }

  // Within ---------------------------------------------------------------------------------------

  /** Has a command done, and shows how far it is. */
  async #order(entry) {
    this.#mustBeOpen();
    this.#outgoing.begin(entry);
    try {
      const done = await this.#client.order(this.#id, entry);
      // Its event may have come before this answer did, or before it was asked for again.
      if (done.seq <= this.#position?.seq) this.#outgoing.remove(entry.id);
      else this.#outgoing.move(entry.id, { state: "stored", ...done });
      return done;
    } catch (error) {
      if (error.code !== "closed") this.#outgoing.move(entry.id, { state: "failed", error });
      throw error;
    }
  }

  #handlers(type) {
    if (type === "*") return this.#all;
    if (type === "reset") return this.#resets;
    if (type === "error") return this.#errors;
    if (!this.#byType.has(type)) this.#byType.set(type, new Handlers());
    return this.#byType.get(type);
  }

  #attach(handlers, handler) {
    this.#mustBeOpen();
    if (this.#refusal) throw this.#refusal;
    const off = handlers.add(handler);
    this.#start();
    return off;
  }

  /** Asks for the thread when the present turn is over: all that attach in it see the same. */
  #start() {
    if (this.#state !== "idle") return;
    this.#state = "following";
    queueMicrotask(() => {
      if (this.#state === "following") this.#client.start(this, this.#after);
    });
  }

  /** Brings the fold, and from where the following began what it has missed. */
  async #beginView() {
    this.#early = [];
    if (this.#position?.seq > this.#begin?.seq) {
      const { epoch, seq } = this.#begin;
      this.#client.follow(this.#id, "leave");
      this.#client.start(this, this.#after[0] === "start" ? this.#after : [epoch, seq]);
    }
    const { makeView } = await surePart("view", this.#client.sources);
    if (this.#state === "closed") return;
    this.#fold = makeView((view) => {
      this.#view = view;
      this.#views.call(view);
    });
    for (const events of this.#early) this.#fold.push(events);
    this.#early = [];
  }

  #foldLater(events) {
    if (!this.#early) return;
    const next = (this.#folded ?? this.#begin?.seq ?? events[0].seq - 1) + 1;
    // While a view catches up, what is ahead comes again, and what overlaps it has.
    if (events[0].seq > next) return;
    if (events[0].seq < next) events = events.filter(({ seq }) => seq >= next);
    if (events.length === 0) return;
    this.#folded = events.at(-1).seq;
    if (this.#fold) this.#fold.push(events);
    else this.#early.push(events);
  }

  /** A loop is behind: the server is to send no more for now. */
  #pause(iterator) {
    if (this.#full.size === 0) this.#client.follow(this.#id, "pause");
    this.#full.add(iterator);
  }

  #resume(iterator) {
    if (!this.#full.delete(iterator) || this.#full.size > 0) return;
    if (this.#state === "following") this.#client.follow(this.#id, "resume");
  }

  #finish(state, error) {
    if (this.#state === "closed") return;
    this._turn++;
    this.#state = state;
    this.#fold?.close();
    const own = [this.#all, this.#batches, this.#resets, this.#errors, this.#views, this.#outboxes];
    for (const handlers of [...this.#byType.values(), ...own]) handlers.clear();
    this.#finishIterators(error);
  }

  #finishIterators(error) {
    for (const iterator of this.#iterators) iterator.tell("finish", error);
    this.#iterators.clear();
    this.#full.clear();
  }

  #mustBeOpen() {
    if (this.#state !== "closed") return;
    throw new RethreadError("closed", `${this.#id} was closed; ask client.thread() for it again`);
  }
}
