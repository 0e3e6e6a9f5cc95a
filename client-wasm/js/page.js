const OF_GLOBAL = ["online", "offline", "pageshow"];
// `freeze` and `resume` exist in Chromium only.
const OF_DOCUMENT = ["visibilitychange", "freeze", "resume"];

/**
 * Calls `hear` with "offline" or "hidden" where that is so now, and with "online", "offline",
 * "visible" and "hidden" from now on. Works in a worker, and where there are no such events.
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
  return () => each("removeEventListener");
}
