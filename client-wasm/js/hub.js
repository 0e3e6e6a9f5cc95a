/** What a tab hears when its leader is gone: a code that says to come back (4000 to 4499). */
export const LEADER_GONE = 4000;

/** Heartbeats without a word after which a connection is dead. */
const HEARTBEATS_MISSED_MAX = 2;

/** How long the server may take to answer who asks whether it is there and then leaves, milliseconds. */
const ANSWER_MS = 2000;

/** The first number for the requests of guests; the leader's own tab keeps its numbers. */
const GUEST_REQS = 2 ** 32;

/**
 * The leader's side of a shared connection: carries the frames of several sessions over one socket.
 *
 * A thread is followed once, whoever follows it; what comes of it goes to all who do. One that joins
 * has the thread sent again from its own position: the others have that already, and drop it, as
 * sessions do with every overlap. So there is no state here that could be wrong about what a tab has.
 */
export class Hub {
  #openUpstream;
  #channel;
  #upstream;
  #isOpen = false;
  #transport;
  #welcome;
  /** When something came, and since when what was asked is not answered. */
  #heardAt = 0;
  #askedAt = Infinity;
  /** Those who wait for a welcome of the server's. */
  #greeted = [];
  #ports = new Map();
  /** By thread: who follows it, where it is, and who waits for `subscribed`. */
  #threads = new Map();
  /** By number upstream: whose request it is, and its number there. */
  #reqs = new Map();
  #nextReq = GUEST_REQS;

  /**
   * @param openUpstream as `openSocket`, without the address.
   * @param channel `deliver(ids, what, {frame, code})` to other tabs, and `onceGone(id, call)`.
   */
  constructor(openUpstream, channel) {
    this.#openUpstream = openUpstream;
    this.#channel = channel;
  }

  /** A session comes; of this tab when `hear` is given. */
  attach(id, hear) {
    // The leader's own session would know by its timers, which sleep while its page is hidden.
    const silence = this.#welcome?.heartbeat_ms * HEARTBEATS_MISSED_MAX;
    if (performance.now() - this.#heardAt > silence) this.end(LEADER_GONE);
    this.#ports.set(id, { id, hear });
    if (!hear) this.#channel.onceGone(id, () => this.detach(id));
    // Who opens a connection hears that it is open when it has it.
    if (this.#isOpen) queueMicrotask(() => this.#isOpen && this.#tell([id], "opened", this.#transport));
    else this.#dial();
  }

  /** A session goes. */
  detach(id) {
    const port = this.#ports.get(id);
    if (!port) return;
    this.#ports.delete(id);
    // The leader's own session has found that the socket is dead, or another has: when one gives up, all do.
    if (port.hear || performance.now() - this.#askedAt > ANSWER_MS) {
      this.end(LEADER_GONE);
      return;
    }
    for (const [thread, { ports }] of this.#threads) if (ports.has(id)) this.#unfollow(id, thread);
    for (const [req, { port }] of this.#reqs) if (port === id) this.#reqs.delete(req);
    if (this.#ports.size > 0) return;
    this.#upstream?.close(1000);
    this.#forget();
  }

  /** What a session sends. */
  take(id, frame) {
    const port = this.#ports.get(id);
    if (!port || !this.#isOpen) return;
    switch (frame.op) {
      case "hello":
        if (this.#welcome && !port.greeted) this.#give(id, this.#welcome);
        else {
          this.#greeted.push(id);
          this.#upstream.send(frame);
        }
        port.greeted = true;
        break;
      case "ping":
        // All hear the answer.
        this.#askedAt = Math.min(this.#askedAt, performance.now());
        this.#upstream.send(frame);
        break;
      case "subscribe":
        this.#follow(id, frame);
        break;
      case "unsubscribe":
        this.#unfollow(id, frame.thread);
        break;
      default:
        this.#request(port, frame);
    }
  }

  /** Ends all connections. */
  end(code) {
    const upstream = this.#upstream;
    this.#closed(code);
    upstream?.close(1000);
  }

  // Upstream -------------------------------------------------------------------------------------

  #dial() {
    if (this.#upstream) return;
    const mine = (work) => (...told) => this.#upstream === upstream && work(...told);
    const upstream = this.#openUpstream({
      opened: mine((transport) => {
        this.#isOpen = true;
        this.#transport = transport;
        this.#tell([...this.#ports.keys()], "opened", transport);
      }),
      frame: mine((frame) => this.#receive(frame)),
      closed: mine((code, again) => this.#closed(code, again)),
    });
    this.#upstream = upstream;
  }

  #closed(code, again) {
    const ports = [...this.#ports.values()];
    this.#ports.clear();
    this.#forget();
    this.#channel.deliver(ports.map(({ id }) => id), "closed", { code });
    for (const { hear } of ports) hear?.closed(code, again);
  }

  #forget() {
    this.#upstream = this.#welcome = undefined;
    this.#isOpen = false;
    this.#askedAt = Infinity;
    this.#greeted = [];
    this.#threads.clear();
    this.#reqs.clear();
  }

  #receive(frame) {
    this.#heardAt = performance.now();
    this.#askedAt = Infinity;
    const { op, thread, req } = frame ?? {};
    const followed = this.#threads.get(thread);
    switch (op) {
      case "welcome":
        this.#welcome = frame;
        this.#give(this.#greeted.shift(), frame);
        break;
      case "events":
        if (!followed) break;
        followed.position = { epoch: frame.epoch, seq: frame.last };
        this.#tell([...followed.ports], "frame", frame);
        break;
      case "subscribed": {
        if (!followed) break;
        const asked = followed.asked.shift();
        followed.position = { epoch: frame.epoch, seq: frame.after };
        // Who begins now has not asked for what others are sent again.
        if (asked?.after === "now") this.#give(asked.id, { ...frame, after: frame.head });
        else this.#tell(asked ? [asked.id] : [...followed.ports], "frame", frame);
        break;
      }
      case "reset": {
        if (!followed) break;
        followed.position = undefined;
        const asked = followed.asked[0];
        this.#tell(asked ? [asked.id] : [...followed.ports], "frame", frame);
        break;
      }
      case "error":
        if (req === undefined && followed) this.#refused(thread, followed, frame);
        else if (req === undefined) this.#tell(this.#own(), "frame", frame);
        else this.#answer(frame);
        break;
      case "sent":
      case "cancelled":
      case "published":
        this.#answer(frame);
        break;
      case "beat":
      case "goodbye":
        this.#tell([...this.#ports.keys()], "frame", frame);
        break;
      default:
        this.#tell(this.#own(), "frame", frame);
    }
  }

  // Threads --------------------------------------------------------------------------------------

  #follow(id, frame) {
    const { thread, after } = frame;
    const followed = this.#threads.get(thread) ?? { ports: new Set(), asked: [], position: undefined };
    this.#threads.set(thread, followed);
    const others = followed.ports.size > (followed.ports.has(id) ? 1 : 0);
    followed.ports.add(id);
    followed.asked.push({ id, after });
    const at = followed.position;
    // Nobody is to miss what lies between.
    const isAhead = after === "now" || (after?.epoch === at?.epoch && after?.seq > at?.seq);
    this.#upstream.send(others && at && isAhead ? { ...frame, after: at } : frame);
  }

  #unfollow(id, thread) {
    const followed = this.#threads.get(thread);
    if (!followed?.ports.delete(id) || followed.ports.size > 0) return;
    this.#upstream.send({ op: "unsubscribe", thread });
    // Answers that are due find nobody, and are for nobody.
    if (followed.asked.length === 0) this.#threads.delete(thread);
  }

  #refused(thread, followed, frame) {
    const asked = followed.asked.shift();
    const ids = asked ? [asked.id] : [...followed.ports];
    for (const id of ids) followed.ports.delete(id);
    this.#tell(ids, "frame", frame);
    if (followed.ports.size + followed.asked.length === 0) this.#threads.delete(thread);
  }

  // Requests -------------------------------------------------------------------------------------

  #request(port, frame) {
    if (frame.req === undefined || port.hear) {
      if (frame.req !== undefined) this.#reqs.set(frame.req, { port: port.id, req: frame.req });
      this.#upstream.send(frame);
      return;
    }
    const req = this.#nextReq++;
    this.#reqs.set(req, { port: port.id, req: frame.req });
    this.#upstream.send({ ...frame, req });
  }

  #answer(frame) {
    const asked = this.#reqs.get(frame.req);
    this.#reqs.delete(frame.req);
    if (asked) this.#give(asked.port, { ...frame, req: asked.req });
  }

  // Downstream -----------------------------------------------------------------------------------

  #own() {
    return [...this.#ports.values()].filter(({ hear }) => hear).map(({ id }) => id);
  }

  #give(id, frame) {
    this.#tell([id], "frame", frame);
  }

  #tell(ids, what, frame) {
    const ports = ids.map((id) => this.#ports.get(id)).filter((port) => port);
    const guests = ports.filter(({ hear }) => !hear).map(({ id }) => id);
    // First, for what this tab's application is given it may change.
    if (guests.length > 0) this.#channel.deliver(guests, what, { frame });
    for (const { hear } of ports) {
      if (what === "opened") hear?.opened(frame);
      else hear?.frame(frame);
    }
  }
}
