/** One measurement: a fresh page, one contender, a thread to get warm with and a thread that counts. */

import { chromium } from "playwright-core";

import { median } from "./report.js";

const FLAGS = [
  "--no-sandbox",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-gpu",
];

export const launch = () =>
  chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });

/** What takes longer has failed. */
const PATIENCE_MS = 60_000;

/** The contender that keeps what it brings, also beyond what is waited for; a thread comes from the
 * server once only. */
const KEEPS = "package, all of it";
/** Frames after which the browser has compiled what is used of either client: as many in each case. */
const WARM_FRAMES = 5000;
/** How often a thread is followed then, and counted. */
const COUNTED = 3;

/**
 * @param {{ url: string, token: string, warm: string, thread: string, count: number, frames: number }} given
 *   `frames`: how many a thread comes in
 * @returns events a second, milliseconds of the main thread's processor time for 10,000 events, the
 *   same for the first thread of the page, and the longest task in milliseconds, 0 where none is over 50.
 */
export async function measure(browser, site, contender, { url, token, warm, thread, count, frames }) {
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    const errors = [];
    page.on("pageerror", (error) => errors.push(error.message));
    page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
    await page.goto(site.url);
    await page.waitForFunction(() => window.isReady);
    const session = await context.newCDPSession(page);
    await page.evaluate(([name, given]) => begin(name, given), [contender, { url, token }]);
    const follow = async (thread) => {
      const followed = await within(contender, page.evaluate(([thread, count]) => follow(thread, count), [thread, count]));
      if (contender === KEEPS) {
        await within("what is kept", page.evaluate(([thread, count]) => isKept(thread, count), [thread, count]));
      }
      return followed;
    };
    // The processor's time, not the clock's: another program's turn is no work of the page.
    await session.send("Performance.enable", { timeDomain: "threadTicks" });
    const followed = async (thread) => {
      await session.send("HeapProfiler.collectGarbage");
      const before = await taskSeconds(session);
      const { ms, longest } = await follow(thread);
      const seconds = (await taskSeconds(session)) - before;
      return { rate: (count / ms) * 1000, work: (seconds * 1000 * 10_000) / count, longest };
    };
    const keeps = contender === KEEPS;
    const { work: first } = await followed(warm);
    for (let n = frames; n < (keeps ? 0 : WARM_FRAMES); n += frames) await follow(warm);
    const counted = [];
    for (let n = 0; n < (keeps ? 1 : COUNTED); n += 1) counted.push(await followed(thread));
    await page.evaluate(() => end());
    if (errors.length > 0) throw new Error(`${contender}: ${errors.join("; ")}`);
    return {
      rate: median(counted.map(({ rate }) => rate)),
      work: median(counted.map(({ work }) => work)),
      first,
      longest: Math.max(...counted.map(({ longest }) => longest)),
    };
  } finally {
    await context.close();
  }
}

/** Fails with a word instead of waiting for ever. */
function within(what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${PATIENCE_MS} ms`)), PATIENCE_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function taskSeconds(session) {
  const { metrics } = await session.send("Performance.getMetrics");
  return metrics.find(({ name }) => name === "TaskDuration").value;
}
