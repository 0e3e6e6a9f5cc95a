// What is loaded when it is asked for. Written out, for bundlers follow only what stands here.
const PARTS = {
  fallback: () => import("./fallback.js"),
  loop: () => import("./loop.js"),
  store: () => import("./store.js"),
  tabs: () => import("./tabs.js"),
  view: () => import("./view.js"),
};

const loading = new Map();

/** Loads a part, once for the page; one that could not be loaded may be asked for again. */
export function part(name, sources) {
  if (!loading.has(name)) {
    const loaded = PARTS[name]().then((part) => part.load(sources?.[name]));
    loaded.catch(() => loading.delete(name));
    loading.set(name, loaded);
  }
  return loading.get(name);
}
