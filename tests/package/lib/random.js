/** Numbers in [0, 1) that are the same for the same seed (mulberry32). */
export function randomOf(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What tests choose with: `below(6)`, `between(1, 6)` (both included), `chance(0.5)`, `of([…])`. */
export function diceOf(seed) {
  const random = randomOf(seed);
  const below = (end) => Math.floor(random() * end);
  return {
    below,
    between: (first, last) => first + below(last - first + 1),
    chance: (share) => random() < share,
    of: (list) => list[below(list.length)],
  };
}
