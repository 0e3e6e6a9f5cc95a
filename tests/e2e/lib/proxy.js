/** A TCP proxy that can cut connections, also in the middle of a frame, and stall without a word. */

import net from "node:net";

/** Between a page and a server. */
export class Proxy {
  port = 0;
  /** WebSockets that came through so far. */
  sockets = 0;
  #target;
  #listener;
  /** @type {Set<Link>} */
  #links = new Set();
  #isStalled = false;
  #isShut = false;

  /** @param {() => number} target the server's port */
  static async start(target) {
    const proxy = new Proxy(target);
    await new Promise((resolve, reject) => {
      proxy.#listener.once("error", reject).listen(0, "127.0.0.1", resolve);
    });
    proxy.port = proxy.#listener.address().port;
    return proxy;
  }

  constructor(target) {
    this.#target = target;
    this.#listener = net.createServer((near) => this.#join(near));
  }

  /** Where it listens. */
  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  /** WebSockets that neither side nor a cut has ended, as far as the proxy knows. */
  get alive() {
    return [...this.#links].filter((link) => link.isSocket).length;
  }

  /**
   * Ends every connection there is. New ones pass.
   *
   * @param {number} [afterBytes] how much of what the server sends next over a WebSocket still
   * reaches the page, so that the cut falls inside a frame; without it the connection is reset at once
   */
  cut(afterBytes = 0) {
    for (const link of this.#links) link.cut(afterBytes);
  }

  /** Ends every connection there is, and from now on each new one at once. */
  shut() {
    this.#isShut = true;
    this.cut();
  }

  /** Lets new connections pass again. */
  reopen() {
    this.#isShut = false;
  }

  /** From now on nothing passes, on old connections and new ones; none is closed. */
  stall() {
    this.#isStalled = true;
    for (const link of this.#links) link.stall();
  }

  /** Lets everything pass again, also what has waited. */
  resume() {
    this.#isStalled = false;
    for (const link of this.#links) link.resume();
  }

  /** Ends it and its connections. */
  async close() {
    const closed = new Promise((resolve) => this.#listener.close(resolve));
    for (const link of this.#links) link.end();
    await closed;
  }

  #join(near) {
    if (this.#isShut) {
      near.on("error", () => {}).resetAndDestroy();
      return;
    }
    const far = net.connect(this.#target(), "127.0.0.1");
    const link = new Link(near, far, {
      upgraded: () => (this.sockets += 1),
      ended: () => this.#links.delete(link),
    });
    this.#links.add(link);
    if (this.#isStalled) link.stall();
  }
}

/** One connection through the proxy. Either side's end ends both. */
class Link {
  isSocket = false;
  /** What may still pass to the page before the cut. */
  #left = Infinity;

  constructor(near, far, { upgraded, ended }) {
    this.near = near;
    this.far = far;
    near.once("data", (chunk) => {
      if (!chunk.includes("GET /v1/ws")) return;
      this.isSocket = true;
      upgraded();
    });
    near.on("data", (chunk) => far.write(chunk));
    far.on("data", (chunk) => {
      near.write(chunk.subarray(0, Math.min(chunk.length, this.#left)));
      this.#left -= chunk.length;
      if (this.#left <= 0) this.end();
    });
    for (const side of [near, far]) {
      side.setNoDelay(true);
      side.on("error", () => this.end());
      side.on("close", () => {
        this.end();
        ended();
      });
    }
  }

  cut(afterBytes) {
    if (afterBytes > 0 && this.isSocket) {
      this.#left = Math.min(this.#left, afterBytes);
    } else {
      this.near.resetAndDestroy();
      this.far.destroy();
    }
  }

  stall() {
    this.near.pause();
    this.far.pause();
  }

  resume() {
    this.near.resume();
    this.far.resume();
  }

  /** What was written to the page still goes out; then the connection is gone. */
  end() {
    this.far.destroy();
    this.near.destroySoon();
  }
}
