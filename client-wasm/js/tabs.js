import { Hub, LEADER_GONE } from "./hub.js";

/** How long a leader may take to answer before it counts as frozen, milliseconds. */
const ANSWER_MS = 2000;

/** What the claims are of which tabs must have the same, to share a connection. */
const SHARED_CLAIMS = ["iss", "sub", "scope", "threads"];

/** Gives what makes the sharing of this tab; undefined where the browser cannot. */
export async function load() {
  try {
    // There, and refused: in a frame of a sandbox.
    await navigator.locks.query();
    return { share: globalThis.BroadcastChannel ? share : () => undefined };
  } catch {
    return { share: () => undefined };
  }
}

/**
 * Takes part in sharing.
 *
 * @param claims what the token says. One that names no user is not shared.
 * @param openUpstream opens the real socket.
 * @param move is called when this tab's own connection, if it has one, is to be made anew through
 *   here: another tab leads, or another wants to take part.
 */
function share(address, claims, openUpstream, move) {
  if (typeof claims.sub !== "string") return undefined;
  const same = SHARED_CLAIMS.map((claim) => claims[claim] ?? null);
  return new Tabs(`rethread ${address} ${JSON.stringify(same)}`, openUpstream, move);
}

/**
 * One connection for all tabs of a user. The tab that holds a lock, the leader, has the socket; the
 * others speak to it over a channel. Every tab keeps its own session, so order, duplicates and holes
 * are each tab's own matter, and a new leader is no more to them than a new connection.
 *
 * The browser gives the lock on when the leader's tab closes or crashes. One that is frozen is found
 * out when it does not answer, and loses the lock to who asked.
 */
class Tabs {
  #name;
  #tab = crypto.randomUUID();
  #channel;
  #openUpstream;
  #move;
  /** The hub, while this tab leads; and what ends that. */
  #hub;
  #resign;
  /** This tab's own connection: as the leader's guest, or at its own hub. */
  #port;
  #ports = 0;
  #closed = false;
  /** The page is put away or frozen: it must not lead. */
  #isAway = false;
  /** Ends this tab's waiting to lead. */
  #waiting;
  #die;

  /** @param name what tabs must have in common to share: server, user and grants. */
  constructor(name, openUpstream, move) {
    this.#name = name;
    this.#openUpstream = openUpstream;
    this.#move = move;
    this.#channel = new BroadcastChannel(name);
    this.#channel.onmessage = ({ data }) => this.#receive(data);
    // Held as long as this tab lives: how a leader learns that it does no more.
    const lives = new Promise((resolve) => (this.#die = resolve));
    navigator.locks.request(this.#nameOf(this.#tab), () => lives).catch(() => {});
    this.#listen("addEventListener");
    void navigator.locks.request(name, { ifAvailable: true }, (lock) => {
      if (lock) return this.#closed || this.#isAway || this.#lead();
      this.#stand();
      // There is a leader: this tab's own connection is one too many.
      this.#move();
    }).catch(() => this.#deposed());
  }

  /** As `openSocket`. A connection that ends because the leader has is reported with `again`. */
  open(hear) {
    const port = { id: `${this.#tab}/${++this.#ports}`, hear };
    this.#port = port;
    if (this.#hub) {
      this.#hub.attach(port.id, hear);
    } else {
      this.#say({ from: port.id, what: "open" });
      port.timer = setTimeout(() => this.#seize(port), ANSWER_MS);
    }
    return {
      send: (frame) => this.#send(port, frame),
      close: () => this.#leave(port),
    };
  }

  /** Shares no more. */
  close() {
    if (this.#port) this.#leave(this.#port);
    this.#closed = true;
    this.#resign?.();
    this.#die();
    this.#channel.close();
    this.#waiting?.abort();
    this.#listen("removeEventListener");
  }

  #listen(change) {
    for (const [on, away, back] of [
      [globalThis, "pagehide", "pageshow"],
      // In Chromium only.
      [globalThis.document, "freeze", "resume"],
    ]) {
      on?.[change]?.(away, this.#hide);
      on?.[change]?.(back, this.#show);
    }
  }

  // Nothing runs in a page that is put away or frozen: another is to lead, and nothing is to wait for it
  // in a channel that nobody reads. It comes back by itself.
  #hide = () => {
    this.#isAway = true;
    this.#waiting?.abort();
    this.#resign?.();
    const port = this.#port;
    if (!port) return;
    this.#leave(port);
    port.hear.closed(LEADER_GONE);
  };
  #show = () => {
    if (!this.#isAway) return;
    this.#isAway = false;
    this.#stand();
  };

  #nameOf(tab) {
    return `${this.#name}/${tab}`;
  }

  #say(message) {
    if (!this.#closed) this.#channel.postMessage(message);
  }

  #send(port, frame) {
    if (port !== this.#port) return;
    if (this.#hub) this.#hub.take(port.id, frame);
    else this.#say({ from: port.id, what: "frame", frame });
  }

  #leave(port) {
    clearTimeout(port.timer);
    if (port !== this.#port) return;
    this.#port = undefined;
    if (this.#hub) this.#hub.detach(port.id);
    else this.#say({ from: port.id, what: "close" });
  }

  /** The connection is gone; a session makes another. */
  #lost(code, again) {
    const port = this.#port;
    this.#port = undefined;
    if (!port) return;
    clearTimeout(port.timer);
    port.hear.closed(code, again);
  }

  // Who leads ------------------------------------------------------------------------------------

  /** Waits until nobody leads, and leads. */
  #stand() {
    if (this.#isAway || this.#closed) return;
    this.#waiting?.abort();
    this.#waiting = new AbortController();
    this.#hold({ signal: this.#waiting.signal });
  }

  /** The leader does not answer: leads in its place. */
  #seize(port) {
    if (port === this.#port && !this.#hub) this.#hold({ steal: true });
  }

  #hold(how) {
    const lead = () => this.#closed || this.#isAway || this.#lead();
    const held = navigator.locks.request(this.#name, how, lead);
    // It was taken: by a tab that had no answer.
    held.catch(() => this.#deposed());
  }

  #lead() {
    if (this.#hub) return undefined;
    this.#hub = new Hub(this.#openUpstream, {
      deliver: (to, what, more) => this.#say({ to, what, ...more }),
      onceGone: (id, gone) => {
        const tab = id.split("/")[0];
        void navigator.locks.request(this.#nameOf(tab), gone).catch(() => {});
      },
    });
    // Whoever was another leader's guest comes to this one.
    this.#say({ what: "led" });
    const port = this.#port;
    if (port && !port.isOpen) {
      clearTimeout(port.timer);
      this.#hub.attach(port.id, port.hear);
    } else this.#lost(LEADER_GONE, true);
    return new Promise((resolve) => {
      this.#resign = () => {
        resolve();
        this.#deposed();
      };
    });
  }

  #deposed() {
    const hub = this.#hub;
    // Waiting to lead has ended, not leading.
    if (!hub) return;
    this.#hub = this.#resign = undefined;
    hub.end(LEADER_GONE);
    this.#lost(LEADER_GONE, !this.#isAway);
    this.#stand();
  }

  #receive({ from, to, what, frame, code }) {
    if (from) {
      if (!this.#hub) return;
      if (what === "open") {
        if (!this.#port) this.#move();
        // It need not wonder whether anybody is there; how the server is, it will hear.
        this.#say({ to: [from], what: "here" });
        this.#hub.attach(from);
      }
      if (what === "frame") this.#hub.take(from, frame);
      if (what === "close") this.#hub.detach(from);
      return;
    }
    if (what === "led") {
      if (!this.#hub) this.#lost(LEADER_GONE, true);
      return;
    }
    const port = this.#port;
    if (!port || this.#hub || !to.includes(port.id)) return;
    clearTimeout(port.timer);
    if (what === "here") return;
    port.isOpen = true;
    if (what === "opened") port.hear.opened(frame);
    else if (what === "frame") port.hear.frame(frame);
    else this.#lost(code, code === LEADER_GONE);
  }
}
