import type { Thread } from "@rethread/client";

/**
 * What the page was given, for comparing it with the log. Kept only when the page's address has
 * `?record`; tests read it as `window.__rethread.record`, a map from thread to the events that
 * `thread.on("*")` delivered, in the order they came. Nothing here removes duplicates or sorts.
 * A reset empties a thread's list, and so does following the thread anew from its start.
 */
export interface Recorded {
  epoch: string;
  seq: number;
  id: string;
  type: string;
}

declare global {
  interface Window {
    __rethread?: { record: Map<string, Recorded[]> };
  }
}

if (new URLSearchParams(location.search).has("record")) {
  window.__rethread = { record: new Map() };
}

const recorded = new WeakSet<Thread>();

/** Records what a thread delivers from now on, once and also while it is not shown, where asked for. */
export function record(thread: Thread | undefined): void {
  const map = window.__rethread?.record;
  if (!map || !thread || recorded.has(thread)) return;
  recorded.add(thread);
  map.set(thread.id, []);
  thread.on("*", ({ seq, id, type }) => {
    map.get(thread.id)!.push({ epoch: thread.position?.epoch ?? "", seq, id, type });
  });
  thread.on("reset", () => {
    map.set(thread.id, []);
  });
}
