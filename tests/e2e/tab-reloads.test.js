import { hasPublished } from "./lib/log.js";
import { story } from "./lib/scene.js";

const RELOADS = 3;

story("an answer that streams while its tab is reloaded ends with exactly the log", async (scene) => {
  const { server, dice } = scene;
  const thread = await server.thread();
  const chat = await scene.open(thread);
  const { publisher, streaming } = await scene.publisher(thread);

  for (let reload = 1; reload <= RELOADS; reload += 1) {
    await chat.receives(dice(40, 100));
    await chat.glimpse();
    await chat.reload();
  }
  await chat.receives(40);
  publisher.finish();
  await streaming;

  const log = await chat.endsWithLog(server, publisher.run);
  hasPublished(log, publisher);
});
