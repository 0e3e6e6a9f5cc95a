// Answers that are not the server's, or are a refusal: the client comes back by itself, and says meanwhile
// what is wrong. Each page comes from where the server is, as pages mostly do, so that it may read them.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Proxy } from "../lib/proxy.js";
import { SECRET } from "../lib/token.js";
import { Torture } from "../lib/torture.js";
import { until } from "../lib/until.js";

let torture, server;

before(async () => {
  torture = await Torture.start({ words: ["--secret", SECRET] });
  ({ server } = torture);
});

after(() => torture?.stop());

const PORTAL = "<!doctype html><title>Welcome to our network</title><form>Room number</form>";
const HTML = { "content-type": "text/html", "content-length": PORTAL.length };

const ANSWERS = [
  ["401", { status: 401, headers: { "content-length": 0 } }, /answers with 401/],
  ["403", { status: 403, headers: { "content-length": 0 } }, /answers with 403/],
  ["404", { status: 404, headers: { "content-length": 0 } }, /answers with 404/],
  ["429", { status: 429, headers: { "content-length": 0 } }, /answers with 429/],
  ["503", { status: 503, headers: { "content-length": 0 } }, /answers with 503/],
  ["a captive portal's HTML", { status: 200, headers: HTML, body: PORTAL }, /log in to this network/],
  [
    "a captive portal's redirect",
    { status: 302, headers: { location: "http://portal.invalid/", "content-length": 0 } },
    /log in to this network/,
  ],
];

/** A page that follows a thread with something in it, through a proxy of its own that it comes from. */
async function begin(t, { mode = "passes", answer, answersTo = /./ } = {}) {
  const proxy = await Proxy.start(server.url, mode);
  Object.assign(proxy, { answer, answersTo, site: new URL(torture.siteUrl) });
  const { thread, run } = await server.thread();
  await server.publish(run, "agent_started", { agent: "a" });
  const tab = await torture.open({
    threads: [thread],
    options: { url: proxy.url, cache: false },
    site: `${proxy.url}/`,
  });
  t.after(async () => {
    await tab.close();
    await proxy.close();
  });
  const publish = () => server.publish(run, "agent_thinking", { text: "…" });
  return { proxy, tab, thread, publish };
}

/** Until the status says that. */
const says = (tab, pattern) =>
  until(
    () => tab.page.evaluate((source) => statuses.some(({ reason }) => new RegExp(source).test(reason)), pattern.source),
    () => `a status that says ${pattern}`,
  );

const reasons = (tab) => tab.page.evaluate(() => statuses.map(({ state, reason }) => `${state}: ${reason}`));

/** How many tries there may be in a time so short, whatever is wrong: two of each backoff's first steps. */
const TRIES_MAX = 14;

describe("the server answers", { concurrency: true }, () => {
  for (const [name, answer, reason] of ANSWERS) {
    test(`server answers ${name}`, async (t) => {
      const { proxy, tab, thread, publish } = await begin(t);
      await tab.equals(thread);
      const before = proxy.asked.length;
      Object.assign(proxy, { mode: "answers", answer });
      proxy.cut();
      await says(tab, reason);
      assert.notEqual((await tab.status()).state, "closed");
      const tries = proxy.asked.slice(before).filter((what) => !what.startsWith("GET"));
      assert.ok(tries.length <= TRIES_MAX, `${tries.length} tries: ${tries}`);
      await publish();
      proxy.mode = "passes";
      await tab.equals(thread);
      assert.equal((await tab.status()).reason, undefined, "nothing is wrong any more");
    });

    test(`server answers ${name}: from the first on, and only where it matters`, async (t) => {
      // That the server is alive, it says itself.
      const answersTo = /^UPGRADE|^POST/;
      const { proxy, tab, thread, publish } = await begin(t, { mode: "answers", answer, answersTo });
      await says(tab, reason);
      await publish();
      proxy.mode = "passes";
      await tab.equals(thread);
      assert.ok(!(await reasons(tab)).some((text) => text.startsWith("closed")));
    });
  }

  for (const status of [429, 503]) {
    test(`server answers ${status} with Retry-After: nothing is tried before`, async (t) => {
      const AFTER_MS = 3000;
      const answer = { status, headers: { "retry-after": AFTER_MS / 1000, "content-length": 0 } };
      const { proxy, tab, thread, publish } = await begin(t);
      await tab.equals(thread);
      const before = proxy.asked.length;
      Object.assign(proxy, { mode: "answers", answer });
      proxy.cut();
      await says(tab, new RegExp(`answers with ${status}`));
      // A WebSocket's handshake does not tell a page what it was answered with: the first that does is this.
      const told = proxy.asked.findIndex((what, at) => at >= before && !what.startsWith("UPGRADE"));
      const left = () => tab.page.evaluate(() => client.status.retryAt - Date.now());
      await until(async () => (await left()) > 1000, () => "a status that says when");
      // What else would bring a try at once must not.
      for (let nudge = 0; nudge < 5; nudge++) {
        await tab.page.evaluate(() => {
          dispatchEvent(new Event("online"));
          document.dispatchEvent(new Event("visibilitychange"));
        });
      }
      await publish();
      proxy.mode = "passes";
      await tab.equals(thread);
      const waited = proxy.askedAt[told + 1] - proxy.askedAt[told];
      assert.ok(waited >= AFTER_MS, `${proxy.asked[told + 1]} came ${waited} ms after ${proxy.asked[told]}`);
    });

    test(`server answers ${status} with Retry-After, where WebSocket is blocked`, async (t) => {
      const AFTER_MS = 2000;
      const answer = { status, headers: { "retry-after": AFTER_MS / 1000, "content-length": 0 } };
      const { proxy, tab, thread, publish } = await begin(t, { mode: "refuses" });
      await tab.equals(thread);
      assert.equal((await tab.status()).transport, "sse");
      const before = proxy.asked.length;
      Object.assign(proxy, { mode: "answers", answer, answersTo: /^UPGRADE|^POST/ });
      proxy.cut();
      await says(tab, new RegExp(`answers with ${status}`));
      const told = proxy.asked.findIndex((what, at) => at >= before && what === "POST /v1/stream");
      await publish();
      proxy.mode = "refuses";
      await tab.equals(thread);
      const waited = proxy.askedAt[told + 1] - proxy.askedAt[told];
      assert.ok(waited >= AFTER_MS, `${proxy.asked[told + 1]} came ${waited} ms after ${proxy.asked[told]}`);
    });
  }

  test("server answers 503: the server's own, with retry_after_ms and a word for people", async (t) => {
    const error = { code: "slow_down", message: "the server has as many connections as it may", retry_after_ms: 1500 };
    const body = JSON.stringify({ error });
    const headers = { "content-type": "application/json", "content-length": body.length };
    const { proxy, tab, thread, publish } = await begin(t, { mode: "refuses" });
    await tab.equals(thread);
    const before = proxy.asked.length;
    Object.assign(proxy, { mode: "answers", answer: { status: 503, headers, body }, answersTo: /^UPGRADE|^POST/ });
    proxy.cut();
    await says(tab, /as many connections as it may/);
    const told = proxy.asked.findIndex((what, at) => at >= before && what === "POST /v1/stream");
    await publish();
    proxy.mode = "refuses";
    await tab.equals(thread);
    const waited = proxy.askedAt[told + 1] - proxy.askedAt[told];
    assert.ok(waited >= error.retry_after_ms, `${proxy.asked[told + 1]} came ${waited} ms later`);
  });
});
