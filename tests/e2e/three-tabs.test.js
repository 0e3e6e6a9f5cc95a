import { hasPublished } from "./lib/log.js";
import { story } from "./lib/scene.js";

story("three tabs that watch one answer, each with a fate of its own, end with exactly the log", async (scene) => {
  const { server } = scene;
  const thread = await server.thread();
  const proxy = await scene.proxy();
  const calm = await scene.open(thread);
  const cut = await scene.open(thread, { through: proxy });
  const reloaded = await scene.open(thread);
  const { publisher, streaming } = await scene.publisher(thread);
  cut.expectOutages();

  for (let trouble = 1; trouble <= 2; trouble += 1) {
    await Promise.all([calm, cut, reloaded].map(async (chat) => {
      await chat.receives(80);
      await chat.glimpse();
    }));
    proxy.cut(300);
    await reloaded.reload();
  }
  await Promise.all([calm, cut, reloaded].map((chat) => chat.receives(40)));
  publisher.finish();
  await streaming;

  for (const chat of [calm, cut, reloaded]) hasPublished(await chat.endsWithLog(server, publisher.run), publisher);
});
