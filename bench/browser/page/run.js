import { CONTENDERS } from "./contenders.js";

const longTasks = [];
new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) longTasks.push(duration);
}).observe({ type: "longtask" });

let client;

/** Connects a contender, and waits until the server has welcomed it. */
window.begin = async (name, given) => {
  client = await CONTENDERS[name](given);
  await client.online;
};

/**
 * Follows a thread until `count` events have come, each once and in order.
 *
 * @returns milliseconds from asking for it to the last event, and tasks of more than 50 ms.
 */
window.follow = async (thread, count) => {
  longTasks.length = 0;
  const from = performance.now();
  const { until, chars } = await new Promise((resolve, reject) => {
    let last = 0;
    let chars = 0;
    const stop = client.follow(thread, (events) => {
      for (const { seq, data } of events) {
        if (seq !== last + 1) reject(new Error(`event ${seq} came after ${last}`));
        last = seq;
        chars += data.text?.length ?? 0;
      }
      if (last < count) return;
      // What comes beyond the last would be told by the next turn.
      stop();
      resolve({ until: performance.now(), chars });
    });
  });
  // Entries come late: those of this turn with the next ones.
  await new Promise((resolve) => setTimeout(() => requestAnimationFrame(() => setTimeout(resolve)), 0));
  return { ms: until - from, chars, longest: Math.max(0, ...longTasks) };
};

/** Waits until the package has kept so many events of a thread, where it keeps any. */
window.isKept = async (thread, count) => {
  for (;;) {
    const [database] = await indexedDB.databases();
    if (database && (await lastKept(database.name, thread)) === count) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
};

async function lastKept(name, thread) {
  const done = (request) =>
    new Promise((resolve, reject) => Object.assign(request, { onsuccess: () => resolve(request.result), onerror: reject }));
  const database = await done(indexedDB.open(name));
  const row = await done(database.transaction("threads").objectStore("threads").get(thread));
  database.close();
  return row?.last;
}

window.end = () => client.close();
window.isReady = true;
