import { STATUS_CODES, createServer, request as ask } from "node:http";
import { connect } from "node:net";
import { performance } from "node:perf_hooks";
import { Transform } from "node:stream";

/**
 * An HTTP proxy to a server, as networks have them. What it does to connections is its `mode`, which may
 * change; it counts for those that come then:
 *
 * - "passes": nothing;
 * - "refuses": it knows no WebSocket;
 * - "swallows": it lets a WebSocket's handshake pass, and nothing more;
 * - "buffers": as "refuses", and an answer is passed on when it is whole;
 * - "answers": what comes gets `answer`, not the server's, where it is one of `answersTo`; else it passes;
 * - "hangs": what comes gets no answer at all.
 */
export class Proxy {
  mode;
  /** The requests that came: `GET /healthz`, `UPGRADE /v1/ws`; and when, by this process's clock. */
  asked = [];
  askedAt = [];
  url;
  /** What "answers" answers with: `{status, headers, body}`. */
  answer;
  answersTo = /./;
  /** Where this is set, what is no endpoint of the server's is asked of this site: a page of the same origin. */
  site;
  /** How long each piece is held back, either way, milliseconds. */
  holdMs = 0;
  /** Connections on which nothing passes for so long are cut, milliseconds. */
  idleMs = 0;
  /** How many were. */
  idle = 0;
  #target;
  #server;
  #sockets = new Set();
  /** What goes on between a page and the server; each can fall silent and go on. */
  #lines = new Set();

  static async start(target, mode) {
    const proxy = new Proxy();
    proxy.#target = new URL(target);
    proxy.mode = mode;
    await proxy.#listen();
    return proxy;
  }

  /** How many WebSockets are open to the server. */
  open = 0;

  /** Ends every connection that is open; new ones pass. */
  cut() {
    for (const socket of this.#sockets) socket.destroy();
  }

  /**
   * What is open falls silent: it stays open, and nothing passes either way until `release`. What is opened
   * later passes.
   */
  stall() {
    for (const line of this.#lines) line.stall();
  }

  /** What was silent goes on where it was. */
  release() {
    for (const line of this.#lines) line.release();
  }

  async close() {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.cut();
    await closed;
  }

  async #listen() {
    this.#server = createServer((request, response) => this.#pass(request, response));
    this.#server.on("connection", (socket) => this.#hold(socket));
    this.#server.on("upgrade", (request, socket, head) => this.#upgrade(request, socket, head));
    await new Promise((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    this.url = `http://127.0.0.1:${this.#server.address().port}`;
  }

  #hold(socket) {
    this.#sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => this.#sockets.delete(socket));
  }

  /** Keeps what can fall silent, for as long as it is open. */
  #line(of, line) {
    this.#lines.add(line);
    of.on("close", () => this.#lines.delete(line));
  }

  #pass(request, response) {
    if (this.site && !/^\/(v1|healthz)/.test(request.url)) return this.#onward(this.site, request, response);
    const what = this.#note(`${request.method} ${request.url}`);
    if (this.mode === "hangs") return;
    if (this.mode === "answers" && this.answersTo.test(what)) {
      const { status, headers, body = "" } = this.answer;
      response.writeHead(status, { ...headers, connection: "close" }).end(body);
      return;
    }
    this.#onward(this.#target, request, response);
  }

  #note(what) {
    this.asked.push(what);
    this.askedAt.push(performance.now());
    return what;
  }

  #onward({ hostname, port }, request, response) {
    const { method, url: path, headers } = request;
    const isBuffering = this.mode === "buffers";
    const onward = ask({ hostname, port, method, path, headers }, (answer) => {
      const pieces = [];
      const held = answer.pipe(this.#held());
      held.on("data", (piece) => (isBuffering ? pieces.push(piece) : response.write(piece)));
      answer.on("close", () => !answer.complete && response.destroy());
      held.on("end", () => {
        if (isBuffering) response.writeHead(answer.statusCode, answer.headers);
        for (const piece of pieces) response.write(piece);
        response.end();
      });
      if (!isBuffering) response.writeHead(answer.statusCode, answer.headers).flushHeaders();
      this.#watch(response.socket);
      this.#line(answer, { stall: () => answer.pause(), release: () => answer.resume() });
    });
    onward.on("error", () => response.destroy());
    response.on("close", () => onward.destroy());
    request.pipe(onward);
  }

  #upgrade(request, socket, head) {
    const what = this.#note(`UPGRADE ${request.url}`);
    if (this.mode === "hangs") return;
    if (this.mode === "answers" && this.answersTo.test(what)) {
      const { status, headers, body = "" } = this.answer;
      const lines = Object.entries({ ...headers, connection: "close" }).map(([name, value]) => `${name}: ${value}\r\n`);
      socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join("")}\r\n${body}`);
      return;
    }
    if (this.mode === "refuses" || this.mode === "buffers") {
      socket.end("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
      return;
    }
    const onward = connect(Number(this.#target.port), this.#target.hostname, () => {
      const lines = [`GET ${request.url} HTTP/1.1`];
      for (let at = 0; at < request.rawHeaders.length; at += 2) {
        lines.push(`${request.rawHeaders[at]}: ${request.rawHeaders[at + 1]}`);
      }
      onward.write(`${lines.join("\r\n")}\r\n\r\n`);
      onward.write(head);
    });
    this.#hold(onward);
    this.open += 1;
    onward.on("close", () => {
      this.open -= 1;
      socket.destroy();
    });
    socket.on("close", () => onward.destroy());
    if (this.mode !== "swallows") {
      const [up, down] = [this.#held(), this.#held()];
      up.pipe(onward);
      down.pipe(socket);
      const release = () => {
        socket.pipe(up);
        onward.pipe(down);
      };
      const stall = () => {
        socket.unpipe(up).pause();
        onward.unpipe(down).pause();
      };
      release();
      this.#watch(socket);
      this.#line(socket, { stall, release });
      return;
    }
    // The server's first packet is the answer to the handshake: there is nothing to say before `hello`.
    onward.once("data", (answer) => socket.write(answer));
    onward.on("data", () => {});
    socket.on("data", () => {});
  }

  /** Passes pieces on; those that come while one is held back go with it. */
  #held() {
    const waiting = [];
    const release = () => waiting.splice(0).forEach((piece) => held.push(piece));
    const held = new Transform({
      transform: (piece, _, done) => {
        if (waiting.push(piece) === 1) {
          if (this.holdMs > 0) setTimeout(release, this.holdMs);
          else release();
        }
        done();
      },
      flush: (done) => {
        release();
        done();
      },
    });
    return held;
  }

  /** Cuts a connection on which nothing passes. */
  #watch(socket) {
    if (this.idleMs === 0) return;
    socket.setTimeout(this.idleMs, () => {
      this.idle += 1;
      socket.destroy();
    });
  }
}
