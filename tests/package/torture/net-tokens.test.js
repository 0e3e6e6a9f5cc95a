// Tokens that end, and access that does: a new one where there is one; else the end, with a name, and no
// more tries.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Proxy } from "../lib/proxy.js";
import { SECRET, mint } from "../lib/token.js";
import { Torture } from "../lib/torture.js";
import { until } from "../lib/until.js";

let torture, server;

before(async () => {
  torture = await Torture.start({ words: ["--secret", SECRET] });
  ({ server } = torture);
});

after(() => torture?.stop());

/** A page of a user's own that follows a thread, through a proxy of its own. */
async function begin(t, options, mode = "passes") {
  const proxy = await Proxy.start(server.url, mode);
  const { thread, run } = await server.thread();
  await server.publish(run, "agent_started", { agent: "a" });
  const tab = await torture.open({ threads: [thread], options: { url: proxy.url, cache: false, ...options } });
  t.after(async () => {
    await tab.close();
    await proxy.close();
  });
  const publish = () => server.publish(run, "agent_thinking", { text: "…" });
  // Where WebSocket is refused, whether it still is may be tried at any time.
  const way = mode === "refuses" ? /^POST \/v1\/stream$/ : /^(UPGRADE|POST \/v1\/stream$)/;
  const connects = () => proxy.asked.filter((what) => way.test(what)).length;
  return { proxy, tab, thread, publish, connects };
}

/** A token that was good an hour ago. */
const expired = () => mint({ iat: Math.floor(Date.now() / 1000) - 7200, seconds: -3600 });

/** Ends a user's access, as an operator does. */
async function revoke(user) {
  const headers = { authorization: `Bearer ${mint({ sub: "olga", scope: "admin" })}` };
  const body = JSON.stringify({ user, reason: "lost her laptop" });
  const answer = await fetch(`${server.url}/v1/admin/revoke`, { method: "POST", headers, body });
  assert.equal(answer.status, 200, await answer.text());
}

/** Takes the page's network away while `work` goes on. */
async function offline({ page }, proxy, work) {
  const { mode } = proxy;
  proxy.mode = "hangs";
  proxy.cut();
  await until(() => page.evaluate(() => client.status.state !== "online"), () => "a lost connection");
  await page.context().setOffline(true);
  await work();
  proxy.mode = mode;
  await page.context().setOffline(false);
}

/** Until the client is over, and nothing that happens brings another try. */
async function isOver(tab, proxy, code) {
  await until(async () => (await tab.status()).state === "closed", () => "the end");
  const status = await tab.status();
  assert.equal(status.code, code);
  assert.notEqual(status.reason ?? "", "");
  const tries = proxy.asked.length;
  const refused = await tab.page.evaluate(async () => {
    for (const what of ["offline", "online", "pageshow"]) dispatchEvent(new Event(what));
    document.dispatchEvent(new Event("visibilitychange"));
    try {
      client.thread("thread_x");
    } catch ({ code }) {
      return code;
    }
  });
  assert.equal(refused, "closed");
  // Longer than the first waits of the backoff together, were there any.
  await tab.page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 1500)));
  assert.equal(proxy.asked.length, tries, "no more tries");
}

describe("tokens", { concurrency: true }, () => {
  test("token expires while offline", async (t) => {
    const { proxy, tab, thread, publish, connects } = await begin(t, { tokens: [mint()] });
    await tab.equals(thread);
    const before = connects();
    await offline(tab, proxy, async () => {
      await publish();
      // What the application has at hand is good no more; for a new one it must be asked.
      await tab.page.evaluate(
        (late) => {
          tokens.splice(0, Infinity, ...late);
          wishes.length = 0;
        },
        [expired(), mint()],
      );
    });
    await tab.equals(thread);
    await publish();
    await tab.equals(thread);
    const wishes = await tab.page.evaluate(() => wishes);
    assert.equal(wishes.filter((refused) => refused).length, 1, "one new token was asked for");
    const tries = connects() - before;
    assert.ok(tries <= 6, `${tries} tries: while offline, with the old one, and with the new one`);
  });

  for (const mode of ["passes", "refuses"]) {
    test(`token expires while offline: a string is the only one (${mode})`, async (t) => {
      const { proxy, tab, connects } = await begin(t, { token: expired() }, mode);
      await isOver(tab, proxy, "token_expired");
      assert.ok(connects() <= 4, `${connects()} tries`);
    });
  }

  test("token expires while connected: a string is the only one", async (t) => {
    const { proxy, tab } = await begin(t, { token: mint({ seconds: 1 }) });
    await isOver(tab, proxy, "token_expired");
  });

  for (const mode of ["passes", "refuses"]) {
    test(`access ended gives a named end, not endless attempts (${mode})`, async (t) => {
      const sub = `mallory-${mode}`;
      // A log-in that goes on giving tokens it had made before.
      const tokens = Array.from({ length: 20 }, (_, n) => mint({ sub, jti: `${n}` }));
      const { proxy, tab, thread, publish, connects } = await begin(t, { tokens }, mode);
      await tab.equals(thread);
      const before = connects();
      await revoke(sub);
      await isOver(tab, proxy, "token_revoked");
      assert.equal(connects() - before, 1, "one more try, with one new token");
      const { events } = await tab.notes(thread);
      await publish();
      assert.equal(events.length, 1, "and nothing more was seen");
    });
  }

  test("access ended while offline gives a named end, not endless attempts", async (t) => {
    const sub = "mallory-away";
    const token = mint({ sub });
    const { proxy, tab, thread, connects } = await begin(t, { token });
    await tab.equals(thread);
    const before = connects();
    await offline(tab, proxy, () => revoke(sub));
    await isOver(tab, proxy, "token_revoked");
    assert.ok(connects() - before <= 5, `${connects() - before} tries`);
  });
});

test("a token that cannot be had for a while: no sign that WebSocket is blocked", async (t) => {
  const { tab, proxy } = await begin(t, {});
  const token = await server.token();
  const { transport, wishes, parts } = await tab.page.evaluate(
    async ({ url, token }) => {
      let wishes = 0;
      const bring = () => {
        wishes += 1;
        if (wishes < 5) throw new Error("the log-in does not answer");
        return token;
      };
      const client = await connect({ url, token: bring, cache: false, tabs: false });
      await new Promise((resolve) => client.on("status", ({ state }) => state === "online" && resolve()));
      const { transport } = client.status;
      client.close();
      const parts = performance.getEntriesByType("resource").filter(({ name }) => /fallback/.test(name));
      return { transport, wishes, parts: parts.length };
    },
    { url: proxy.url, token },
  );
  assert.deepEqual([transport, wishes, parts], ["websocket", 5, 0]);
});
