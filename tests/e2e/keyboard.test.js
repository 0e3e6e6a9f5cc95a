import assert from "node:assert/strict";

import { readLog, sameAsLog } from "./lib/log.js";
import { story } from "./lib/scene.js";
import { until } from "./lib/wait.js";

/** A person gives up sooner than this. */
const TABS_MAX = 12;

story("with the keyboard alone: Tab reaches the composer, Enter sends, Tab and Enter stop", async (scene) => {
  const { server } = scene;
  const chat = await scene.open();
  const { keyboard } = chat.page;
  await chat.page.evaluate(() => document.activeElement?.blur());
  await tabTo(chat, "composer");
  await keyboard.type("first line");
  await keyboard.press("Shift+Enter");
  await keyboard.type("second line");
  await keyboard.press("Enter");

  chat.thread = await until("a thread in the address", () => chat.page.url().split("#")[1]);
  await chat.has(1);
  await chat.runIs("asked");
  const log = await readLog(server, chat.thread);
  assert.deepEqual(log.events.map(({ type, data }) => [type, data.text]), [["user_message", "first line\nsecond line"]]);
  sameAsLog(await chat.record(), log);
  assert.equal(await chat.composer.inputValue(), "");

  await chat.composer.focus();
  await tabTo(chat, "stop");
  await keyboard.press("Enter");
  await chat.runIs("cancelled");
});

/** Presses Tab until the element with this test id has the focus. */
async function tabTo(chat, testId) {
  const focused = () => chat.page.evaluate(() => document.activeElement?.dataset.testid);
  for (let tabs = 0; tabs < TABS_MAX; tabs += 1) {
    await chat.page.keyboard.press("Tab");
    if ((await focused()) === testId) return;
  }
  assert.fail(`${TABS_MAX} times Tab do not reach ${testId}`);
}
