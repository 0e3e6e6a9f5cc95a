import assert from "node:assert/strict";

import { hasPublished, readLog, sameAsLog } from "./lib/log.js";
import { story } from "./lib/scene.js";
import { until } from "./lib/wait.js";

story("the page says that it reconnects, and then how many events it has caught up", async (scene) => {
  const { server } = scene;
  const thread = await server.thread();
  const proxy = await scene.proxy();
  const chat = await scene.open(thread, { through: proxy });
  assert.equal((await chat.status()).words, "connected");
  const { publisher, streaming } = await scene.publisher(thread);
  await chat.receives(50);

  chat.expectOutages();
  proxy.shut();
  await chat.says(/^reconnecting( in \d+ s)?$/);
  const had = await chat.count();
  await until("events that the page does not get", () => publisher.acked.size >= had + 100);
  publisher.finish();
  await streaming;
  assert.equal(await chat.count(), had);
  proxy.reopen();

  const log = await chat.endsWithLog(server, publisher.run);
  hasPublished(log, publisher);
  assert.equal((await chat.status()).words, `connected: caught up, ${log.head - had} events replayed`);
});

story("what is said while the connection is down is in the log once when it is back", async (scene) => {
  const { server } = scene;
  const thread = await server.thread();
  const proxy = await scene.proxy();
  const chat = await scene.open(thread, { through: proxy });
  chat.expectOutages();
  proxy.shut();
  await chat.says(/^reconnecting( in \d+ s)?$/);

  await chat.ask("Is anybody there?");
  await chat.ask("I can wait.");
  assert.deepEqual(await chat.page.locator(".run.pending .said").allInnerTexts(), ["Is anybody there?", "I can wait."]);
  proxy.reopen();

  await chat.has(2);
  await until("none on its way", async () => (await chat.page.locator(".run.pending").count()) === 0);
  const log = await readLog(server, thread);
  assert.deepEqual(
    log.events.map(({ type, data }) => [type, data.text]),
    [["user_message", "Is anybody there?"], ["user_message", "I can wait."]],
  );
  sameAsLog(await chat.record(), log);
});

story("a part of the page that cannot be fetched is fetched later, and shows what was said meanwhile", async (scene) => {
  const { server } = scene;
  const thread = await server.thread();
  let isAway = true;
  let missed = 0;
  const before = (page) =>
    page.route(/\/assets\/(rethread_)?view[-_]/, (route) => {
      if (!isAway) return route.continue();
      missed += 1;
      return route.abort("connectionreset");
    });
  const chat = await scene.open(thread, { before, expectsOutages: true });
  await until("the page to miss it", () => missed > 0);
  await chat.ask("Is anybody there?");
  await chat.has(1);

  isAway = false;
  const said = chat.page.locator(".run:not(.pending) .said");
  await until("the message in the conversation", async () => (await said.count()) === 1);
  assert.equal(await said.innerText(), "Is anybody there?");
  sameAsLog(await chat.record(), await readLog(server, thread));
});
