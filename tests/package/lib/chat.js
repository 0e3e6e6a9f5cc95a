import assert from "node:assert/strict";

import { open } from "./browser.js";
import { until } from "./until.js";

/**
 * Opens a page that follows a thread and notes what it receives (`window.received`), publishes to
 * the thread before, during and after a crash of the server, and asserts that the page has received
 * each event once, in order, as it is in the log.
 */
export async function followsThroughACrash(browser, server, address) {
  const { thread, run } = await server.thread();
  await server.publish(run, "agent_started", { agent: "test" });
  await server.publish(run, "agent_thinking", { text: "before the page opens" });
  const token = await server.token();
  const about = new URLSearchParams({ url: server.url, token, thread });
  const { page, errors } = await open(browser, `${address}/#${about}`);
  const has = (count) => page.waitForFunction((n) => window.received?.length >= n, count);

  await has(2);
  for (let piece = 0; piece < 20; piece++) {
    await server.publish(run, "message_delta", { message_id: "m", text: `live ${piece} ` });
  }
  await has(22);
  await server.crash();
  for (let piece = 0; piece < 20; piece++) {
    await server.publish(run, "message_delta", { message_id: "m", text: `after ${piece} ` });
  }
  await server.publish(run, "weather_changed", { wind: [1, { gusts: null }] });
  await server.publish(run, "agent_completed", {});
  await has(44);

  const log = await server.get(`/v1/threads/${thread}/events?limit=500`);
  assert.deepEqual(await page.evaluate(() => window.received), log.events);
  assert.deepEqual(log.events.map((event) => event.seq), [...Array(44).keys()].map((n) => n + 1));
  assert.deepEqual(errors, []);
  await page.close();
}

/**
 * Opens a page that shows a thread as `projects/conversation` does, and asserts that it shows what
 * happened before it was opened and what happens then, event by event and as a view.
 *
 * @param options where the page finds the server, how it is to be connected, and which of its errors
 *   are no surprise.
 */
export async function showsAConversation(browser, server, address, options = {}) {
  const { url = server.url, status = "online websocket", expected = [] } = options;
  const { thread, run } = await server.thread();
  const token = await server.token();
  const say = (text) => server.publish(run, "message_delta", { message_id: "m", text });
  await server.publish(run, "agent_started", { agent: "test" });
  await say("early");
  const about = new URLSearchParams({ url, token, thread });
  const { page, errors } = await open(browser, `${address}#${about}`);
  await shows(page, errors, { status, seqs: "1 2", answer: "early" });
  await say(", live");
  await shows(page, errors, { status, seqs: "1 2 3", answer: "early, live" });
  assert.deepEqual(errors.filter((error) => !expected.some((known) => known.test(error))), []);
  return { page, thread, run };
}

/** Waits until the elements with these ids have these texts. */
export async function shows(page, errors, texts) {
  let shown;
  const is = async () => {
    const ids = Object.keys(texts);
    const found = await Promise.all(ids.map((id) => page.locator(`#${id}`).textContent()));
    shown = Object.fromEntries(ids.map((id, place) => [id, found[place]]));
    return ids.every((id) => shown[id] === texts[id]);
  };
  const what = () => JSON.stringify({ expected: texts, shown, errors });
  await until(is, what, 60_000);
}
