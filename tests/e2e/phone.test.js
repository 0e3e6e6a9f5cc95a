import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

import { story } from "./lib/scene.js";
import { until } from "./lib/wait.js";

const PHONE = {
  viewport: { width: 390, height: 844 },
  deviceScaleFactor: 2,
  isMobile: true,
  hasTouch: true,
};
const ENDLESS = "endless".repeat(60);

story("on a phone nothing is wider than the screen", async (scene) => {
  const { server } = scene;
  const chat = await scene.open(undefined, { context: PHONE });
  await fits(chat, "the welcome page");

  await chat.composer.fill(`A question with one ${ENDLESS} word`);
  await chat.page.getByTestId("send").tap();
  chat.thread = await until("a thread in the address", () => chat.page.url().split("#")[1]);
  await chat.has(1);
  await fits(chat, "a question");

  await publish(server, chat.thread);
  await chat.runIs("failed");
  for (const summary of await chat.page.locator("[data-testid=tool-card] summary").all()) await summary.tap();
  await chat.page.getByLabel("Output").first().waitFor({ state: "visible" });
  await fits(chat, "tools, code and a table");

  await chat.page.getByRole("button", { name: "Show conversations" }).tap();
  await chat.page.getByTestId("new-thread").waitFor({ state: "visible" });
  await fits(chat, "the drawer");
  await chat.page.getByRole("button", { name: "Hide conversations" }).tap();
  await fits(chat, "the drawer put away");
});

/** A run with everything that could be too wide. */
async function publish(server, thread) {
  const run = await server.run(thread);
  const wide = { query: ENDLESS, nested: { rows: [ENDLESS, 1, null] } };
  const answer = [
    `An ${ENDLESS} word and \`${ENDLESS}\`.`,
    `\`\`\`\nconst code = "${ENDLESS}";\n\`\`\``,
    "| one | two | three | four | five | six |\n|---|---|---|---|---|---|\n| a long cell | a long cell | a long cell | a long cell | a long cell | a long cell |",
  ].join("\n\n");
  const events = [
    ["agent_started", { agent: ENDLESS.slice(0, 200), message: ENDLESS }],
    ["agent_thinking", { text: ENDLESS }],
    ["tool_executing", { call_id: "1", tool: ENDLESS.slice(0, 200), input: wide }],
    ["tool_completed", { call_id: "1", output: wide, took_ms: 12 }],
    ["tool_executing", { call_id: "2", tool: "search", input: wide }],
    ["tool_completed", { call_id: "2", error: ENDLESS }],
    ["custom", { name: "chart", value: wide }],
    ["message_delta", { message_id: "answer", text: answer }],
    ["agent_failed", { code: "too_wide", message: ENDLESS }],
  ];
  const { results } = await server.request(
    "/v1/events",
    events.map(([type, data]) => ({ id: randomUUID(), run, type, at: Date.now(), data })),
  );
  assert.deepEqual(results.filter(({ error }) => error), []);
}

/** Throws when the page or its messages can be scrolled sideways. */
async function fits(chat, what) {
  const wide = await chat.page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    const places = [document.documentElement, document.body, document.querySelector(".scroller"), document.querySelector(".main")];
    const scrolls = places.filter((place) => place && place.scrollWidth > place.clientWidth);
    return {
      width,
      scrolls: scrolls.map((place) => `${place.tagName}.${place.className}: ${place.scrollWidth} > ${place.clientWidth}`),
    };
  });
  assert.deepEqual(wide, { width: PHONE.viewport.width, scrolls: [] }, what);
}
