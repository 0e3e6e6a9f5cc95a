import { createServer, request as ask } from "node:http";
import { connect } from "node:net";

/**
 * An HTTP proxy to a server, as networks have them. What it does to connections is its `mode`, which may
 * change; it counts for those that come then:
 *
 * - "passes": nothing;
 * - "refuses": it knows no WebSocket;
 * - "swallows": it lets a WebSocket's handshake pass, and nothing more;
 * - "buffers": as "refuses", and an answer is passed on when it is whole.
 */
export class Proxy {
  mode;
  /** The requests that came: `GET /healthz`, `UPGRADE /v1/ws`. */
  asked = [];
  url;
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
    this.asked.push(`${request.method} ${request.url}`);
    const { hostname, port } = this.#target;
    const { method, url: path, headers } = request;
    const isBuffering = this.mode === "buffers";
    const onward = ask({ hostname, port, method, path, headers }, (answer) => {
      const pieces = [];
      answer.on("data", (piece) => (isBuffering ? pieces.push(piece) : response.write(piece)));
      answer.on("close", () => {
        if (!answer.complete) return response.destroy();
        if (isBuffering) response.writeHead(answer.statusCode, answer.headers);
        for (const piece of pieces) response.write(piece);
        response.end();
      });
      if (!isBuffering) response.writeHead(answer.statusCode, answer.headers).flushHeaders();
      this.#line(answer, { stall: () => answer.pause(), release: () => answer.resume() });
    });
    onward.on("error", () => response.destroy());
    response.on("close", () => onward.destroy());
    request.pipe(onward);
  }

  #upgrade(request, socket, head) {
    this.asked.push(`UPGRADE ${request.url}`);
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
    onward.on("close", () => socket.destroy());
    socket.on("close", () => onward.destroy());
    if (this.mode === "passes") {
      const release = () => {
        socket.pipe(onward);
        onward.pipe(socket);
      };
      const stall = () => {
        socket.unpipe(onward).pause();
        onward.unpipe(socket).pause();
      };
      release();
      this.#line(socket, { stall, release });
      return;
    }
    // The server's first packet is the answer to the handshake: there is nothing to say before `hello`.
    onward.once("data", (answer) => socket.write(answer));
    onward.on("data", () => {});
    socket.on("data", () => {});
  }
}
