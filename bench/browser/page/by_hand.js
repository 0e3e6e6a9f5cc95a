/**
 * The client that a good front-end developer writes by hand, and what the package is measured
 * against: JSON.parse for each frame; a position; what overlaps is dropped; a hole, another epoch or
 * a cut is repaired by subscribing again from the position; silence is noticed. No retries of
 * messages, no cache, no sharing between tabs, no fallback, no types.
 */

/** As the package counts: two heartbeats of silence are the end of a connection. */
const HEARTBEATS_OF_SILENCE = 2;
const BACKOFF_MS = 200;
const BACKOFF_MS_MAX = 10_000;

/** @param {{ url: string, token: string }} options */
export function connect({ url, token }) {
  const threads = new Map();
  let socket;
  let isWelcome = false;
  let failed = 0;
  let heartbeatMs = 15_000;
  let heard = performance.now();
  let isOver = false;
  let opened;
  const online = new Promise((resolve) => (opened = resolve));

  function dial() {
    socket = new WebSocket(`${url.replace(/^http/, "ws")}/v1/ws`, "rethread.v1");
    heard = performance.now();
    socket.onopen = () => send({ op: "hello", token, client: "by-hand/1" });
    socket.onmessage = ({ data }) => {
      heard = performance.now();
      receive(JSON.parse(data));
    };
    socket.onclose = () => {
      isWelcome = false;
      if (isOver) return;
      failed += 1;
      const wait = Math.min(BACKOFF_MS_MAX, BACKOFF_MS * 2 ** failed) * Math.random();
      setTimeout(dial, wait);
    };
  }

  function receive(frame) {
    switch (frame.op) {
      case "events": {
        const thread = threads.get(frame.thread);
        if (thread) take(thread, frame);
        break;
      }
      case "welcome":
        isWelcome = true;
        failed = 0;
        heartbeatMs = frame.heartbeat_ms;
        opened();
        for (const id of threads.keys()) subscribe(id);
        break;
      case "subscribed": {
        const thread = threads.get(frame.thread);
        if (!thread) break;
        thread.epoch = frame.epoch;
        thread.seq = frame.after;
        thread.isBroken = false;
        break;
      }
      case "reset": {
        const thread = threads.get(frame.thread);
        if (thread) thread.epoch = undefined;
        thread?.onReset?.(frame.reason);
        break;
      }
      case "error":
        console.error(frame.code, frame.message);
        break;
      case "goodbye":
        socket.close();
        break;
    }
  }

  /** Hands on what is new, in order; repairs what is not. */
  function take(thread, { epoch, first, last, events }) {
    if (thread.isBroken) return;
    if (epoch !== thread.epoch || first > thread.seq + 1) {
      thread.isBroken = true;
      subscribe(thread.id);
      return;
    }
    if (last <= thread.seq) return;
    if (first <= thread.seq) events = events.filter(({ seq }) => seq > thread.seq);
    thread.seq = last;
    try {
      thread.handler(events);
    } catch (error) {
      reportError(error);
    }
  }

  function subscribe(id) {
    const { epoch, seq } = threads.get(id);
    send({ op: "subscribe", thread: id, after: epoch === undefined ? "start" : { epoch, seq } });
  }

  function send(frame) {
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(frame));
  }

  const watch = setInterval(() => {
    if (performance.now() - heard > HEARTBEATS_OF_SILENCE * heartbeatMs) socket.close();
    else if (isWelcome) send({ op: "ping" });
  }, heartbeatMs / 2);
  dial();

  return {
    online,
    follow(id, handler) {
      threads.set(id, { id, handler, epoch: undefined, seq: 0, isBroken: false });
      if (isWelcome) subscribe(id);
      return () => {
        threads.delete(id);
        send({ op: "unsubscribe", thread: id });
      };
    },
    close() {
      isOver = true;
      clearInterval(watch);
      socket.close();
    },
  };
}
