import assert from "node:assert/strict";

import { hasPublished } from "./lib/log.js";
import { story } from "./lib/scene.js";
import { until } from "./lib/wait.js";

const KILLS = 3;

story("an answer that streams while the server is killed and restarted ends with exactly the log", async (scene) => {
  const { server, dice } = scene;
  const thread = await server.thread();
  const chat = await scene.open(thread);
  const { publisher, streaming } = await scene.publisher(thread);
  chat.expectOutages();

  for (let kill = 1; kill <= KILLS; kill += 1) {
    await chat.receives(dice(60, 150));
    await chat.glimpse();
    const { retries } = publisher;
    await server.kill();
    await chat.isAway();
    await until("the publisher to notice", () => publisher.retries > retries);
    await server.restart();
  }
  await chat.receives(60);
  publisher.finish();
  await streaming;

  const log = await chat.endsWithLog(server, publisher.run);
  hasPublished(log, publisher);
  assert.equal(new Set((await chat.record()).map(({ epoch }) => epoch)).size, 1, "the log is the same incarnation");
  scene.note(`${log.head} events, ${publisher.retries} retries, ${publisher.duplicates} were stored already`);
});
