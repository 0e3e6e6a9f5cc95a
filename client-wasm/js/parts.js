import { RethreadError, warn } from "./error.js";

// What is loaded when it is asked for. Written out, for bundlers follow only what stands here.
const PARTS = {
  fallback: () => import("./fallback.js"),
  loop: () => import("./loop.js"),
  store: () => import("./store.js"),
  tabs: () => import("./tabs.js"),
  view: () => import("./view.js"),
};

/** How long a part that could not be loaded is left alone, at first and at most, milliseconds. */
const AGAIN_MS = 1000;
const AGAIN_MS_MAX = 15_000;

const loading = new Map();
const wanted = new Map();

/** Loads a part, once for the page; one that could not be loaded may be asked for again. */
export function part(name, sources) {
  if (!loading.has(name)) {
    const loaded = PARTS[name]().then((part) => part.load(sources?.[name]));
    loaded.catch(() => loading.delete(name));
    loading.set(name, loaded);
  }
  return loading.get(name);
}

/** The same, as often as it takes: for what an application has asked for. */
export function surePart(name, sources) {
  if (!wanted.has(name)) wanted.set(name, untilLoaded(name, sources));
  return wanted.get(name);
}

async function untilLoaded(name, sources) {
  for (let waitMs = AGAIN_MS; ; waitMs = Math.min(2 * waitMs, AGAIN_MS_MAX)) {
    try {
      return await part(name, sources);
    } catch (cause) {
      warn(new RethreadError("part_failed", `no ${name}; tries again`, { cause }));
      // Outside of browsers nothing is to stay alive for this.
      await new Promise((resolve) => void setTimeout(resolve, waitMs).unref?.());
    }
  }
}
