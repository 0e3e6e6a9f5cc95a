import assert from "node:assert/strict";

import { hasPublished } from "./lib/log.js";
import { story } from "./lib/scene.js";

const HEARTBEAT_MS = 400;
/** Two heartbeats of silence are enough; much less than the 30 s that the default would take. */
const NOTICED_MS_MAX = 10_000;
const STALLS = 3;

story(
  "an answer that streams while the network stalls without a word ends with exactly the log",
  async (scene) => {
    const { server, dice } = scene;
    const thread = await server.thread();
    const proxy = await scene.proxy();
    const chat = await scene.open(thread, { through: proxy });
    const { publisher, streaming } = await scene.publisher(thread);
    chat.expectOutages();

    for (let stall = 1; stall <= STALLS; stall += 1) {
      await chat.receives(dice(100, 200));
      await chat.glimpse();
      const alive = proxy.alive;
      proxy.stall();
      await chat.isAway(NOTICED_MS_MAX);
      assert.ok(proxy.alive >= alive && alive > 0, "the proxy has closed nothing; silence alone was noticed");
      proxy.resume();
    }
    await chat.receives(20);
    publisher.finish();
    await streaming;

    const log = await chat.endsWithLog(server, publisher.run);
    hasPublished(log, publisher);
    scene.note(`${log.head} events, ${proxy.sockets} connections`);
  },
  { serve: ["--heartbeat", `${HEARTBEAT_MS}ms`] },
);
