import { hasPublished } from "./lib/log.js";
import { story } from "./lib/scene.js";
import { until } from "./lib/wait.js";

const CUTS = 10;

story("an answer that streams while its connection is cut ten times ends with exactly the log", async (scene) => {
  const { server, dice } = scene;
  const thread = await server.thread();
  const proxy = await scene.proxy();
  const chat = await scene.open(thread, { through: proxy });
  const { publisher, streaming } = await scene.publisher(thread);
  chat.expectOutages();

  for (let cut = 1; cut <= CUTS; cut += 1) {
    // More than a second's worth: a connection that lives shorter makes the next one wait longer.
    await chat.receives(dice(120, 150));
    await chat.glimpse();
    const { sockets } = proxy;
    // Some at once with a reset, most inside one of the next frames.
    proxy.cut(Math.max(0, dice(-200, 800)));
    await until(`a connection after cut ${cut}`, () => proxy.sockets > sockets);
  }
  await chat.receives(20);
  publisher.finish();
  await streaming;

  const log = await chat.endsWithLog(server, publisher.run);
  hasPublished(log, publisher);
  scene.note(`${log.head} events, ${proxy.sockets} connections`);
});
