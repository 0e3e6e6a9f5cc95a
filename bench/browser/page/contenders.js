import { connect as connectByHand } from "./by_hand.js";

/** By name: how each connects. All have `online`, `follow(id, handler)` and `close()`. */
export const CONTENDERS = {
  "by hand": async (given) => connectByHand(given),
  // The same duties: order, repetitions, resuming.
  package: (given) => withPackage({ ...given, cache: false, tabs: false }),
  // As it comes: it keeps what it has brought in IndexedDB as well, and shares its connection.
  "package, all of it": (given) => {
    // As in a page that is not loaded for the first time: what keeps events is there at once.
    localStorage.setItem("rethread", "");
    return withPackage(given);
  },
};

async function withPackage(options) {
  const { connect } = await import("/sdk/index.js");
  const client = await connect(options);
  const online = new Promise((resolve) => {
    const look = () => client.status.state === "online" && resolve();
    client.on("status", look);
    look();
  });
  return {
    online,
    follow(id, handler) {
      const thread = client.thread(id);
      thread.onBatch(handler);
      return () => thread.close();
    },
    close: () => client.close(),
  };
}
