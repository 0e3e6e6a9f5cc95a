/**
 * The package in Chromium beside a client written by hand. `cargo xtask bench --browser` builds what
 * this needs; `--rounds N` and `--write FOLDER` (for benchmarks-browser.md) are its arguments.
 */

import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";

import { Frames } from "./lib/frames.js";
import { launch, measure } from "./lib/measure.js";
import { makeThread, recordThread, startServer } from "./lib/rethread.js";
import { document, rows, table, verdicts } from "./lib/report.js";
import { serveSite } from "./lib/site.js";

const EVENTS = 20_000;
const SIZES = [1, 16, 64];
const CONTENDERS = ["by hand", "package", "package, all of it"];
/** What the cut is tried with: it need not be long. */
const CUT_AFTER = 7_000;

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "5" }, write: { type: "string" } },
});
const repeat = Number(values.rounds);
assert.ok(Number.isInteger(repeat) && repeat > 0, "--rounds is a whole number");

const [server, site, browser] = await Promise.all([startServer(), serveSite(), launch()]);
const [warm, thread] = [await makeThread(server, EVENTS), await makeThread(server, EVENTS)];
const recorded = [await recordThread(server, warm, EVENTS), await recordThread(server, thread, EVENTS)];
const frames = await Frames.serve(recorded);

const common = { token: server.token, warm, thread, count: EVENTS };
const cases = [
  ...SIZES.map((size) => ({
    name: `${size} ${size === 1 ? "event" : "events"} a frame`,
    isBatch: size > 1,
    prepare: () => frames.cutInto(size),
    given: { ...common, url: frames.url, frames: EVENTS / size },
  })),
  {
    name: `replay, ${Math.round(EVENTS / recorded[1].frames)} a frame`,
    isBatch: true,
    isReplay: true,
    prepare: () => {},
    given: { ...common, url: server.url, frames: recorded[1].frames },
  },
];

try {
  for (const contender of CONTENDERS) {
    frames.cutInto(16);
    frames.breakAfter(CUT_AFTER);
    // Fails where an event is missing, comes twice, or in another order.
    await measure(browser, site, contender, cases[1].given);
  }
  console.log("cut off in the middle: all go on without a hole or a repetition\n");
  for (const it of cases) it.rounds = [];
  for (let round = 0; round < repeat; round += 1) {
    for (const { prepare, given, rounds } of cases) {
      prepare();
      const of = {};
      // Who begins changes with every round.
      for (const contender of round % 2 ? CONTENDERS.toReversed() : CONTENDERS) {
        of[contender] = await measure(browser, site, contender, given);
      }
      rounds.push(Object.fromEntries(CONTENDERS.map((contender) => [contender, of[contender]])));
    }
    console.log(`round ${round + 1} of ${repeat} is done`);
  }
  const all = cases.flatMap((it) => rows(it).map((row) => ({ ...row, isBatch: it.isBatch, isReplay: it.isReplay })));
  console.log(`\n${table(all)}\n\n${verdicts(all).join("\n")}`);
  if (values.write) {
    mkdirSync(values.write, { recursive: true });
    const path = resolve(join(values.write, "benchmarks-browser.md"));
    writeFileSync(path, document(all, { browser: browser.version(), count: EVENTS, repeat }));
    console.log(`\nwritten: ${path}`);
  }
} finally {
  frames.close();
  await browser.close();
  site.close();
  await server.stop();
}
