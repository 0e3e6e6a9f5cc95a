/**
 * A WebSocket server that says what the real one has said, cut into frames of so many events: how
 * many there are in a frame is for the measurement to choose, and not for the load of a machine.
 */

import { once } from "node:events";
import { createServer } from "node:http";

import { WebSocketServer } from "ws";

/** Events that are sent again before a position, as a server may. */
const OVERLAP_EVENTS = 5;

/** @param {object[]} recorded what `recordThread` gives, of each thread */
export class Frames {
  url;
  #http = createServer();
  #server = new WebSocketServer({ server: this.#http, perMessageDeflate: false });
  #threads;
  #size;
  /** All frames of a thread as they go over the wire, by its id. */
  #made;
  /** After so many events the next connection is cut, and what follows on the one after it overlaps. */
  #cutAfter;

  static async serve(recorded) {
    const frames = new Frames(recorded);
    frames.#http.listen(0, "127.0.0.1");
    await once(frames.#http, "listening");
    frames.url = `http://127.0.0.1:${frames.#http.address().port}`;
    return frames;
  }

  constructor(recorded) {
    this.#threads = new Map(recorded.map((of) => [of.subscribed.thread, of]));
    const [{ welcome }] = recorded;
    this.#server.on("connection", (socket) => {
      socket.on("message", (data) => {
        const { op, thread, after } = JSON.parse(data);
        if (op === "hello") socket.send(JSON.stringify(welcome));
        else if (op === "subscribe") this.#follow(socket, thread, after?.seq ?? 0);
        else if (op === "ping") socket.send('{"op":"beat"}');
      });
    });
  }

  /** From now on there are so many events in a frame. */
  cutInto(size) {
    this.#size = size;
    this.#made = new Map([...this.#threads.keys()].map((thread) => [thread, this.#from(thread, 0)]));
  }

  /** Cuts the next connection that follows a thread, once, after so many events. */
  breakAfter(events) {
    this.#cutAfter = events;
  }

  close() {
    for (const socket of this.#server.clients) socket.terminate();
    this.#http.close();
  }

  #follow(socket, thread, seq) {
    const { subscribed } = this.#threads.get(thread);
    // Nothing has happened yet: what comes now is live.
    socket.send(JSON.stringify({ ...subscribed, head: seq, after: seq }));
    let frames = this.#made.get(thread);
    if (seq > 0) frames = this.#from(thread, Math.max(0, seq - OVERLAP_EVENTS));
    const isCut = this.#cutAfter !== undefined;
    if (isCut) frames = frames.slice(0, Math.ceil(this.#cutAfter / this.#size));
    for (const frame of frames) socket.send(frame);
    if (!isCut) return;
    this.#cutAfter = undefined;
    socket.close(1012);
  }

  #from(thread, from) {
    const { events, subscribed } = this.#threads.get(thread);
    const { epoch } = subscribed;
    const frames = [];
    for (; from < events.length; from += this.#size) {
      const some = events.slice(from, from + this.#size);
      const [first, last] = [some[0].seq, some.at(-1).seq];
      frames.push(JSON.stringify({ op: "events", thread, epoch, first, last, events: some }));
    }
    return frames;
  }
}
