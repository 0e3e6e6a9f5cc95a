import assert from "node:assert/strict";

import { HARBOUR } from "./lib/harbour.js";
import { answerText, readLog, sameAsLog } from "./lib/log.js";
import { story } from "./lib/scene.js";
import { until } from "./lib/wait.js";

const QUESTION = "When does the keeper sound the horn in the fog?";
const ANSWER = /the lighthouse keeper sounds the horn every two minutes/;
/** So slow that an answer is still being written when the test acts: about 50 pieces. */
const SLOW_MS = 100;
/** For answers that need not come to their end. */
const ENDLESS_MS = 400;

story("a typed question is answered by the agent, with its tools in sight", async (scene) => {
  const { server } = scene;
  await scene.agent(HARBOUR);
  const chat = await begin(scene);
  await chat.runIs("completed");

  const search = chat.page.locator("[data-testid=tool-card][data-tool=search]");
  await search.waitFor({ state: "visible" });
  assert.equal(await search.getAttribute("data-state"), "completed");
  await search.locator("summary").click();
  await search.getByLabel("Output").waitFor({ state: "visible" });
  assert.match(await search.getByLabel("Output").innerText(), /harbour\.md/);
  assert.ok((await chat.page.getByTestId("tool-card").count()) >= 2, "it searches, and reads what it found");
  assert.match(await chat.answer(), ANSWER);

  const log = await isLog(chat, server);
  assert.deepEqual([log.events[0].type, log.events[1].type, log.events.at(-1).type],
    ["user_message", "agent_started", "agent_completed"]);
  assert.equal(letters(await chat.answer()), letters(answerText(log, log.events[0].run)));
});

story("a question that nobody has taken is answered once an agent comes", async (scene) => {
  const chat = await begin(scene);
  await chat.runIs("asked");
  await chat.page.getByText("waiting for an agent").first().waitFor({ state: "visible" });
  await scene.agent(HARBOUR);
  await chat.runIs("completed");
  assert.match(await chat.answer(), ANSWER);
  await isLog(chat, scene.server);
});

story("an answer of the agent goes on where it was when the server is killed and restarted", async (scene) => {
  const { server } = scene;
  await scene.agent(HARBOUR, { paceMs: SLOW_MS });
  const chat = await begin(scene);
  chat.expectOutages();
  await chat.has(15);
  await chat.runIs("running");
  await server.kill();
  await chat.isAway();
  await server.restart();
  await chat.runIs("completed");
  assert.match(await chat.answer(), ANSWER);
  await isLog(chat, server);
});

story("the stop button cancels a run", async (scene) => {
  await scene.agent(HARBOUR, { paceMs: ENDLESS_MS });
  const chat = await begin(scene);
  await chat.runIs("running");
  await chat.has(5);
  await chat.stop.click();
  await wasStopped(chat, scene.server);
});

story("the stop button cancels a run that was begun before a reload", async (scene) => {
  await scene.agent(HARBOUR, { paceMs: ENDLESS_MS });
  const chat = await begin(scene);
  await chat.runIs("running");
  await chat.reload();
  await chat.settles();
  await chat.runIs("running");
  await chat.stop.click();
  await wasStopped(chat, scene.server);
});

/** Asks the question on the welcome page, which makes a thread. */
async function begin(scene) {
  const chat = await scene.open();
  await chat.ask(QUESTION);
  chat.thread = await until("a thread in the address", () => chat.page.url().split("#")[1]);
  await chat.has(1);
  return chat;
}

async function wasStopped(chat, server) {
  await chat.runIs("cancelled");
  await chat.stop.waitFor({ state: "detached" });
  await chat.page.getByText("Stopped by dev").waitFor({ state: "visible" });
  const log = await isLog(chat, server);
  assert.equal(log.events.at(-1).type, "agent_cancelled");
  assert.ok(!log.events.some(({ type }) => type === "agent_completed"), "it was stopped before its end");
}

/** Throws unless the page has exactly the log; gives that. */
async function isLog(chat, server) {
  const log = await readLog(server, chat.thread);
  await chat.has(log.head);
  sameAsLog(await chat.record(), log);
  return log;
}

/** A text without its Markdown. */
function letters(text) {
  return text.replaceAll(/[^\p{L}\p{N}]/gu, "");
}
