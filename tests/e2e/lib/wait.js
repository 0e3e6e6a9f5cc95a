/**
 * Waiting for conditions. A deadline only ends a wait that would never end; its error says what was
 * waited for, and what was seen last.
 */

/** How long something may take that should come at once, on a busy machine. */
export const DEADLINE_MS = 30_000;
const PROBE_MS = 15;

/**
 * Asks again and again until `probe` gives something true, and gives that.
 *
 * @template T
 * @param {string} what what is waited for, for the error
 * @param {() => T | Promise<T>} probe
 * @param {{ ms?: number, seen?: () => unknown }} [options] `seen` is put into the error
 * @returns {Promise<T>}
 */
export async function until(what, probe, { ms = DEADLINE_MS, seen } = {}) {
  const end = performance.now() + ms;
  for (;;) {
    const value = await within(what, probe(), ms);
    if (value) return value;
    if (performance.now() > end) {
      const last = seen ? `; seen last: ${JSON.stringify(await seen())}` : "";
      throw new Error(`waited ${ms} ms for ${what}${last}`);
    }
    await pause(PROBE_MS);
  }
}

/**
 * The promise's value; an error that says `what` when it does not come in time.
 *
 * @template T
 * @param {string} what
 * @param {T | Promise<T>} promise
 * @param {number} [ms]
 * @returns {Promise<T>}
 */
export async function within(what, promise, ms = DEADLINE_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms for ${what}`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Lets time pass: for what happens at a pace, such as a publisher's deltas. Never for waiting until
 * something has happened.
 *
 * @param {number} ms
 * @returns {Promise<void>}
 */
export function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
