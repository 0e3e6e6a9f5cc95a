import type { Status } from "@rethread/client";
import { expect, test } from "vitest";

import { ago, duration, gist, pretty, title } from "../src/format";
import { statusWords, wordsChangeIn } from "../src/status";

test.each<[Status, number, string]>([
  [{ state: "connecting", attempt: 1 }, 0, "connecting"],
  [{ state: "connecting", attempt: 3 }, 0, "connecting, try 3"],
  [{ state: "online", transport: "websocket", caughtUp: true, replayed: 0 }, 0, "connected"],
  [{ state: "online", transport: "websocket", caughtUp: true, replayed: 14 }, 0, "connected: caught up, 14 events replayed"],
  [{ state: "online", transport: "websocket", caughtUp: true, replayed: 1 }, 0, "connected: caught up, 1 event replayed"],
  [{ state: "online", transport: "websocket", caughtUp: false, replayed: 2048 }, 0, "connected, catching up: 2,048 events so far"],
  [{ state: "waiting", attempt: 2, retryAt: 5000, reason: "lost" }, 3000, "reconnecting in 2 s"],
  [{ state: "waiting", attempt: 2, retryAt: 5000, reason: "lost" }, 3001, "reconnecting in 2 s"],
  [{ state: "waiting", attempt: 2, retryAt: 5000, reason: "lost" }, 4001, "reconnecting in 1 s"],
  [{ state: "waiting", attempt: 2, retryAt: 5000, reason: "lost" }, 5001, "reconnecting"],
  [{ state: "offline" }, 0, "offline: goes on when the network is back"],
  [{ state: "closed", code: "unauthorized", reason: "the token is not valid" }, 0, "access ended: the token is not valid"],
])("a status is said in words: %j at %d", (status, now, words) => {
  expect(statusWords(status, now).text).toBe(words);
});

test("a countdown wakes exactly when its words change", () => {
  const status: Status = { state: "waiting", attempt: 1, retryAt: 3500, reason: "lost" };
  let now = 0;
  const said = [statusWords(status, now).text];
  for (let wait = wordsChangeIn(status, now); wait !== undefined; wait = wordsChangeIn(status, now)) {
    expect(statusWords(status, now + wait - 1).text).toBe(said.at(-1));
    now += wait;
    said.push(statusWords(status, now).text);
  }
  expect(said).toEqual([4, 3, 2, 1].map((s) => `reconnecting in ${s} s`).concat("reconnecting"));
});

test("durations, times and titles are short", () => {
  expect([0, 412, 3_240, 125_000].map(duration)).toEqual(["0 ms", "412 ms", "3.2 s", "2 min 5 s"]);
  expect([0, 5, 180, 3_000].map((minutes) => ago(0, minutes * 60_000))).toEqual(["now", "5 min", "3 h", "2 d"]);
  expect(title("  one\n two ")).toBe("one two");
  expect([...title("😀".repeat(200))]).toHaveLength(80);
});

test("any JSON can be shown", () => {
  expect(gist({ query: "epoch", limit: 5 })).toBe('query: "epoch", limit: 5');
  expect(gist(undefined)).toBe("");
  expect(gist({ text: "x".repeat(1_000_000) }).length).toBeLessThan(100);
  expect(pretty("as it is\n")).toBe("as it is\n");
  expect(pretty({ a: [1] })).toBe('{\n  "a": [\n    1\n  ]\n}');
  expect(pretty(null)).toBe("null");
});
