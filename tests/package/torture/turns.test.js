// A conversation of many turns: what belongs to which, and how one is stopped.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Torture } from "../lib/torture.js";

let torture, server, proxy;

before(async () => {
  torture = await Torture.start();
  ({ server, proxy } = torture);
});

after(() => torture?.stop());

const answer = async (run, text) => {
  await server.publish(run, "agent_started", { agent: "a" });
  for (const piece of text.split(" ")) {
    await server.publish(run, "message_delta", { message_id: "m", text: `${piece} ` });
  }
};

/** What is shown of a run. */
const shown = ({ parts }) => parts.filter(({ kind }) => kind === "answer").map(({ text }) => text.trim());

test("the old turn is taken for the new", async () => {
  const { thread } = await server.thread();
  const tab = await torture.open({ threads: [thread] });
  const ask = (text) =>
    tab.page.evaluate(([thread, text]) => notes[thread].thread.send(text), [thread, text]);
  const one = await ask("the first question");
  await answer(one.run, "the first answer");
  await server.publish(one.run, "agent_completed", {});
  // The next question, while the page is cut off; its answer has messages of the same ids.
  proxy.cut();
  const two = await ask("the second question");
  assert.notEqual(two.run, one.run);
  // What comes late of the old turn is refused, and is no part of the new one.
  await assert.rejects(server.publish(one.run, "message_delta", { message_id: "m", text: "late" }), /run_ended/);
  await answer(two.run, "the second answer");
  // A third, before the second is over, and they answer at the same time.
  const three = await ask("the third question");
  await answer(three.run, "the third answer");
  await server.publish(two.run, "message_delta", { message_id: "m", text: "goes on " });
  await server.publish(three.run, "agent_failed", { code: "tired", message: "no more" });
  for (const reload of [false, true]) {
    if (reload) await tab.load();
    await tab.equals(thread);
    const { view } = await tab.notes(thread);
    assert.deepEqual(view.runs.map(({ id, state }) => [id, state]), [
      [one.run, "completed"],
      [two.run, "running"],
      [three.run, "failed"],
    ]);
    assert.deepEqual(view.runs.map(shown), [
      ["the first answer"],
      ["the second answer goes on"],
      ["the third answer"],
    ]);
    const said = view.runs.map(({ parts }) => parts.find(({ kind }) => kind === "said").text);
    assert.deepEqual(said, ["the first question", "the second question", "the third question"]);
  }
  // The same message again, as of a page that was closed before it had an answer, starts no other turn.
  const again = await tab.page.evaluate(
    ([thread, messageId]) => notes[thread].thread.send("the second question", { messageId }),
    [thread, two.messageId],
  );
  assert.deepEqual(again, two);
  await tab.equals(thread);
  await tab.close();
});

test("stop fails after reload", async () => {
  const { thread } = await server.thread();
  const tab = await torture.open({ threads: [thread] });
  const { run } = await tab.page.evaluate((id) => notes[id].thread.send("a long story"), thread);
  await answer(run, "once upon a time");
  await tab.equals(thread);
  // After a reload the page knows the run from what it is shown alone.
  await tab.load();
  await tab.equals(thread);
  const stopped = await tab.page.evaluate(async (id) => {
    const going = notes[id].view.runs.find(({ state }) => state === "running");
    return notes[id].thread.cancel(going.id, "enough");
  }, thread);
  assert.equal(stopped.run, run);
  await tab.equals(thread);
  assert.equal((await tab.notes(thread)).view.runs[0].state, "cancelled");
  await assert.rejects(server.publish(run, "message_delta", { message_id: "m", text: "more" }), /run_ended/);

  // Asked for while there is no connection, and the page reloaded before there is one.
  const { run: next } = await tab.page.evaluate((id) => notes[id].thread.send("another one"), thread);
  await answer(next, "once more");
  await tab.equals(thread);
  await tab.kept(thread, (await torture.log(thread)).head);
  await server.kill();
  await tab.load();
  await tab.page.evaluate(
    ([thread, run]) => void notes[thread].thread.cancel(run, "enough").catch(() => {}),
    [thread, next],
  );
  await tab.ordered(1);
  await tab.load();
  await server.rise();
  await tab.page.waitForFunction(
    ([thread, run]) => notes[thread].view.runs.find(({ id }) => id === run)?.state === "cancelled",
    [thread, next],
    { timeout: 60_000 },
  );
  await tab.equals(thread);
  // Once more: nothing is stopped twice.
  await tab.load();
  await tab.equals(thread);
  const { events } = await torture.log(thread);
  assert.equal(events.filter(({ type }) => type === "agent_cancelled").length, 2);
  await tab.close();
});
