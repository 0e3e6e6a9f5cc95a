import { hasPublished } from "./lib/log.js";
import { story } from "./lib/scene.js";
import { until } from "./lib/wait.js";

const TROUBLES = 8;

story(
  "two answers that stream through one trouble after the other end with exactly the log",
  async (scene) => {
    const { server, dice } = scene;
    const thread = await server.thread();
    const proxy = await scene.proxy();
    const chat = await scene.open(thread, { through: proxy });
    const calm = await scene.open(thread);
    const streams = [await scene.publisher(thread), await scene.publisher(thread, { everyMs: 25 })];
    for (const tab of [chat, calm]) tab.expectOutages();

    const troubles = {
      async cut() {
        const { sockets } = proxy;
        proxy.cut(dice(0, 2000));
        await until("a connection after the cut", () => proxy.sockets > sockets);
      },
      async stall() {
        proxy.stall();
        await chat.isAway();
        proxy.resume();
      },
      async refuse() {
        proxy.shut();
        await chat.isAway();
        proxy.reopen();
      },
      async kill() {
        await server.kill();
        await chat.isAway();
        await server.restart();
      },
      async reload() {
        await chat.reload();
      },
    };
    const had = [];
    for (let n = 0; n < TROUBLES; n += 1) {
      await chat.receives(dice(60, 180));
      await chat.glimpse();
      await calm.glimpse();
      const name = Object.keys(troubles)[dice(0, Object.keys(troubles).length - 1)];
      had.push(name);
      await troubles[name]();
    }
    await chat.receives(20);
    for (const { publisher } of streams) publisher.finish();
    for (const { streaming } of streams) await streaming;

    for (const { publisher } of streams) {
      for (const tab of [chat, calm]) hasPublished(await tab.endsWithLog(server, publisher.run), publisher);
    }
    scene.note(`${had.join(", ")}; ${await chat.count()} events`);
  },
  { serve: ["--heartbeat", "400ms"] },
);
