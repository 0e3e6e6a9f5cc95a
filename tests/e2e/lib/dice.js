/** Random numbers that can be had again: `RETHREAD_E2E_SEED=…` repeats a run's. */

/**
 * @param {import("node:test").TestContext} t told the seed
 * @returns {(from: number, to: number) => number} a whole number, `from` and `to` included
 */
export function dice(t) {
  const seed = Number(process.env.RETHREAD_E2E_SEED ?? Math.floor(Math.random() * 2 ** 32));
  t.diagnostic(`RETHREAD_E2E_SEED=${seed}`);
  let state = seed >>> 0;
  // splitmix32
  const next = () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return ((z ^ (z >>> 16)) >>> 0) / 2 ** 32;
  };
  return (from, to) => from + Math.floor(next() * (to - from + 1));
}
