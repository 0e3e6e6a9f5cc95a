/** The tests' own checks find what they are there to find. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { beginningOfLog, checkLog, sameAsLog } from "./lib/log.js";
import { story } from "./lib/scene.js";
import { until } from "./lib/wait.js";

const EVENTS = ["a", "b", "c"].map((id, place) => ({ seq: place + 1, id, type: "custom" }));
const LOG = { epoch: "e", events: EVENTS };
const RECORD = EVENTS.map((event) => ({ epoch: "e", ...event }));
const [first, second, third] = RECORD;

test("a record with something missing, twice, out of order or of another epoch is not the log", () => {
  sameAsLog(RECORD, LOG);
  const wrong = {
    missing: [first, third],
    short: [first, second],
    twice: [first, second, second, third],
    again: [first, second, third, third],
    swapped: [first, third, second],
    another: [first, second, { ...third, id: "x" }],
    epoch: [first, second, { ...third, epoch: "f" }],
  };
  for (const [how, record] of Object.entries(wrong)) assert.throws(() => sameAsLog(record, LOG), how);
});

test("what was taken back is found", () => {
  beginningOfLog([first, second], LOG);
  assert.throws(() => beginningOfLog([first, { ...second, id: "x" }], LOG));
  assert.throws(() => beginningOfLog([...RECORD, { ...third, seq: 4 }], LOG));
});

test("a log with a hole, an id twice or a wrong head is found", () => {
  checkLog(EVENTS, 3);
  assert.throws(() => checkLog([EVENTS[0], EVENTS[2]], 3));
  assert.throws(() => checkLog(EVENTS, 4));
  assert.throws(() => checkLog([...EVENTS, { ...EVENTS[0], seq: 4 }], 4));
});

test("a wait that is in vain says what was waited for and what was seen", async () => {
  await assert.rejects(until("rain", () => false, { ms: 30, seen: () => "sun" }), /waited 30 ms for rain.*sun/);
});

story("an error in the page, in its console, and a file that is missing are found", async (scene) => {
  const chat = await scene.open();
  assert.deepEqual(chat.problems, []);
  await chat.page.route("**/assets/gone.js", (route) => route.abort("connectionrefused"));
  await chat.page.evaluate(async () => {
    setTimeout(() => {
      throw new Error("thrown");
    });
    console.error("said");
    await fetch("/assets/missing.js");
    await fetch("/assets/gone.js").catch(() => {});
  });
  const kinds = ["page error: Error: thrown", "console error: said", "status 404", "request failed"];
  const found = (kind) => chat.problems.some((problem) => problem.startsWith(kind));
  await until("all four to be found", () => kinds.every(found), { seen: () => chat.problems });
  // They were wanted here.
  chat.problems = [];
});

story("also while outages are expected, a file that does not come is found", async (scene) => {
  const chat = await scene.open();
  chat.expectOutages();
  await chat.page.route("**/assets/gone.css", (route) => route.abort("connectionrefused"));
  await chat.page.route("**/v1/threads", (route) => route.abort("connectionrefused"));
  await chat.page.evaluate(() => Promise.allSettled([fetch("/v1/threads"), fetch("/assets/gone.css")]));
  await until("the file's failure", () => chat.problems.some((problem) => problem.startsWith("request failed")));
  assert.ok(chat.problems.every((problem) => problem.includes("/assets/gone.css")), chat.problems.join("\n"));
  chat.problems = [];
});
