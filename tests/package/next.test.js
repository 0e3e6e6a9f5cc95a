// Next.js: a conversation that the server has rendered first, hydrated, and live.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { createInterface } from "node:readline";

import { launch, open } from "./lib/browser.js";
import { shows } from "./lib/chat.js";
import { BESIDE, install, tool } from "./lib/project.js";
import { Server } from "./lib/server.js";

let browser, project, server;

before(async () => {
  // Next takes its own package, and React, from where it finds them: in a folder above.
  project = install("projects/next", BESIDE);
  [browser, server] = await Promise.all([launch(), Server.start()]);
});

after(async () => {
  await browser?.close();
  await server?.stop();
  project?.remove();
});

const environment = () => {
  const { NODE_ENV, ...env } = process.env;
  return { ...env, NEXT_TELEMETRY_DISABLED: "1", NO_COLOR: "1", RETHREAD_URL: server.url };
};

/** Starts Next, and gives its address. */
async function start(t, mode) {
  const words = [tool("next"), mode, "--hostname", "127.0.0.1", "--port", "0"];
  const options = { cwd: project.folder, env: environment(), stdio: ["ignore", "pipe", "inherit"] };
  const next = spawn(process.execPath, words, options);
  t.after(async () => {
    const ended = once(next, "exit");
    if (next.kill()) await ended;
  });
  const said = [];
  for await (const line of createInterface({ input: next.stdout })) {
    said.push(line);
    const found = line.match(/http:\/\/127\.0\.0\.1:(\d+)/);
    if (!found || found[1] === "0") continue;
    next.stdout.resume();
    return found[0];
  }
  throw new Error(`Next has ended: ${said.join("\n")}`);
}

/** A page that comes from Next: its HTML, as it is without any script, and what becomes of it in the browser. */
async function rendersHydratesAndGoesOn(address) {
  const { thread, run } = await server.thread();
  await server.publish(run, "agent_started", { agent: "test" });
  await server.publish(run, "message_delta", { message_id: "m", text: "early" });
  const html = await (await fetch(`${address}/${thread}`)).text();
  for (const [id, text] of [["status", "connecting"], ["seqs", ""], ["answer", ""]]) {
    assert.match(html, new RegExp(`<p id="${id}">${text}</p>`), "the server has rendered the first state");
  }
  const { page, errors } = await open(browser, `${address}/${thread}`);
  await shows(page, errors, { status: "online websocket", seqs: "1 2", answer: "early" });
  await server.publish(run, "message_delta", { message_id: "m", text: ", live" });
  await shows(page, errors, { seqs: "1 2 3", answer: "early, live" });
  assert.deepEqual(errors, []);
  await page.close();
}

test("a production build renders on the server, hydrates without a word, and is live", async (t) => {
  execFileSync(process.execPath, [tool("next"), "build"], {
    cwd: project.folder,
    env: environment(),
    stdio: ["ignore", "pipe", "inherit"],
  });
  await rendersHydratesAndGoesOn(await start(t, "start"));
});

test("so does the development server, which would tell of every difference", async (t) =>
  rendersHydratesAndGoesOn(await start(t, "dev")));
