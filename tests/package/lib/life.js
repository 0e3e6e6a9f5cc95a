import { until } from "./until.js";

/** How far two clocks of a process's work are apart at most, seconds: they tick in hundredths. */
const TICK_S = 0.011;

/**
 * Put into a page before it loads: a headless browser hides and freezes no page, so this does what it would.
 * A hidden page's timers do not come at all; browsers let them come once a minute.
 */
export function life() {
  const { setTimeout, setInterval, Date } = globalThis;
  const due = [];
  let isHidden = false;
  let offset = 0;
  const held = (work) => (...told) => (isHidden ? due.push(() => work(...told)) : work(...told));
  globalThis.setTimeout = (work, ms, ...told) => setTimeout(held(work), ms, ...told);
  /** How often something was done that is done every so many milliseconds. */
  const turns = {};
  const counted = (work, ms) => (...told) => {
    if (isHidden) return;
    work(...told);
    turns[ms] = (turns[ms] ?? 0) + 1;
  };
  globalThis.setInterval = (work, ms, ...told) => setInterval(counted(work, ms), ms, ...told);
  const now = Date.now.bind(Date);
  Date.now = () => now() + offset;
  Object.defineProperty(document, "visibilityState", { get: () => (isHidden ? "hidden" : "visible") });
  Object.defineProperty(document, "hidden", { get: () => isHidden });
  const tell = (type) => document.dispatchEvent(new Event(type));
  globalThis.life = {
    turns,
    hide() {
      isHidden = true;
      tell("visibilitychange");
    },
    show() {
      isHidden = false;
      tell("visibilitychange");
      for (const work of due.splice(0)) work();
    },
    freeze() {
      this.hide();
      tell("freeze");
    },
    resume() {
      tell("resume");
      this.show();
    },
    /** The time of day goes on, and the clock of timers does not: a device that slept. */
    sleep(ms) {
      offset += ms;
    },
  };
}

/** The process of a page: the one that has worked as long as the page says. */
export async function processOf(browser, page) {
  const own = await page.context().newCDPSession(page);
  const all = await browser.newBrowserCDPSession();
  await own.send("Performance.enable");
  const worked = async () => {
    const { metrics } = await own.send("Performance.getMetrics");
    return metrics.find(({ name }) => name === "ProcessTime").value;
  };
  let found = [];
  const isFound = async () => {
    const from = (await worked()) - TICK_S;
    const { processInfo } = await all.send("SystemInfo.getProcessInfo");
    const to = (await worked()) + TICK_S;
    found = processInfo.filter(({ type, cpuTime }) => type === "renderer" && cpuTime >= from && cpuTime <= to);
    if (found.length === 1) return true;
    // Others have worked as long as it: it works some more.
    await page.evaluate(() => {
      const end = performance.now() + 50;
      while (performance.now() < end);
    });
    return false;
  };
  await until(isFound, () => `the page's process: ${JSON.stringify(found)}`);
  await all.detach();
  await own.detach();
  return found[0].id;
}

/** Stops a process as a laptop that sleeps does, while `work` goes on. */
export async function asleep(pid, work) {
  process.kill(pid, "SIGSTOP");
  try {
    await work();
  } finally {
    process.kill(pid, "SIGCONT");
  }
}
