const OF_GLOBAL = ["online", "offline", "pageshow"];
// `freeze` and `resume` exist in Chromium only.
const OF_DOCUMENT = ["visibilitychange", "freeze", "resume"];

/** How often the clocks are compared, milliseconds. */
const TICK_MS = 1000;
/** The server has given up who said nothing for so long, milliseconds: two of its heartbeats. */
const SLEPT_MS = 30_000;

/**
 * Calls `hear` with "offline" or "hidden" where that is so now, and with "online", "offline",
 * "visible" and "hidden" from now on; with "slept" when the device was asleep, which nothing tells: the
 * time of day has gone on, and the clock by which timers run has not. Works in a worker, and where there
 * are no such events.
 *
 * @returns a function that ends it.
 */
export function listenToPage(hear) {
  const page = globalThis.document;
  const isHidden = () => page?.visibilityState === "hidden";
  const listener = ({ type }) => {
    if (type === "online" || type === "offline") hear(type);
    else hear(type === "freeze" || isHidden() ? "hidden" : "visible");
  };
  const each = (change) => {
    for (const type of OF_GLOBAL) globalThis[change]?.(type, listener);
    for (const type of OF_DOCUMENT) page?.[change](type, listener);
  };
  if (globalThis.navigator?.onLine === false) hear("offline");
  if (isHidden()) hear("hidden");
  each("addEventListener");
  const ahead = () => Date.now() - performance.now();
  let was = ahead();
  const tick = setInterval(() => {
    if (ahead() - was > SLEPT_MS) hear("slept");
    was = ahead();
  }, TICK_MS);
  // Outside of browsers nothing is to stay alive for this.
  tick.unref?.();
  return () => {
    each("removeEventListener");
    clearInterval(tick);
  };
}
