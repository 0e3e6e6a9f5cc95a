/** The real server, and a thread in it. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

import WebSocket from "ws";

/** Events in one request to publish. */
const PUBLISH_EVENTS = 1000;
/** Deltas of one message. */
const MESSAGE_DELTAS = 200;
/** What a language model says at a time. */
const PIECES = ["The ", "position ", "names ", "the ", "last ", "event ", "that ", "was ", "seen, ", "so "];

/** Starts the server, with a folder of its own. */
export async function startServer() {
  const binary = process.env.RETHREAD_BIN;
  if (!binary) throw new Error("RETHREAD_BIN must be the path of the rethread binary");
  const data = mkdtempSync(join(tmpdir(), "rethread-bench-"));
  const words = ["serve", "--dev", "--listen", "127.0.0.1:0", "--data", data];
  const server = spawn(binary, words, { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, RUST_LOG: "error" } });
  process.on("exit", () => server.kill("SIGKILL"));
  let url;
  for await (const line of createInterface({ input: server.stdout })) {
    url = line.match(/listening on (\S+)/)?.[1];
    if (url) break;
  }
  if (!url) throw new Error("the server ended before it listened");
  const { token } = await (await fetch(`${url}/v1/dev/token`)).json();
  const ask = async (path, body) => {
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const answer = await fetch(url + path, { method: "POST", headers, body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`POST ${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  };
  const stop = async () => {
    const ended = once(server, "exit");
    server.kill();
    await ended;
    rmSync(data, { recursive: true, force: true });
  };
  return { url, token, ask, stop };
}

/** Makes a thread of so many events, as an agent that writes answers does; gives its id. */
export async function makeThread({ ask }, count) {
  const { thread } = await ask("/v1/threads", {});
  const { run } = await ask(`/v1/threads/${thread}/runs`, {});
  const event = (type, data) => ({ id: crypto.randomUUID(), run, type, at: Date.now(), data });
  const events = [event("agent_started", { agent: "bench" })];
  for (let n = 1; n < count; n += 1) {
    const message = `m${Math.floor(n / MESSAGE_DELTAS)}`;
    events.push(event("message_delta", { message_id: message, text: PIECES[n % PIECES.length] }));
  }
  for (let from = 0; from < count; from += PUBLISH_EVENTS) {
    const { results } = await ask("/v1/events", events.slice(from, from + PUBLISH_EVENTS));
    const refused = results.find(({ error }) => error);
    if (refused) throw new Error(`an event was refused: ${JSON.stringify(refused.error)}`);
  }
  return thread;
}

/** What the server sends to one that follows the thread from its start: the frames, as they are. */
export async function recordThread({ url, token }, thread, count) {
  const socket = new WebSocket(`${url.replace("http", "ws")}/v1/ws`, "rethread.v1");
  const recorded = { welcome: undefined, subscribed: undefined, events: [], frames: 0 };
  await once(socket, "open");
  socket.send(JSON.stringify({ op: "hello", token, client: "bench" }));
  await new Promise((resolve, reject) => {
    socket.on("error", reject);
    socket.on("message", (data) => {
      const frame = JSON.parse(data);
      if (frame.op === "welcome") {
        recorded.welcome = frame;
        socket.send(JSON.stringify({ op: "subscribe", thread }));
      } else if (frame.op === "subscribed") recorded.subscribed = frame;
      else if (frame.op === "events") {
        recorded.frames += 1;
        recorded.events.push(...frame.events);
        if (recorded.events.length === count) resolve();
      } else if (frame.op === "error") reject(new Error(frame.message));
    });
  });
  socket.close();
  return recorded;
}
