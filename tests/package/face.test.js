// What the package promises beside carrying events; each in a page of its own.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch, serve } from "./lib/browser.js";
import { runInPage } from "./lib/page.js";
import { install } from "./lib/project.js";
import { Server } from "./lib/server.js";

let browser, project, server, site;

before(async () => {
  project = install("projects/plain");
  [browser, server, site] = await Promise.all([launch(), Server.start(), serve(project.folder)]);
});

after(async () => {
  await browser?.close();
  await Promise.all([server?.stop(), site?.close()]);
  project?.remove();
});

/** Runs `work(connect, given, RethreadError)` in a page of its own. */
const inPage = (work, options) => runInPage({ browser, server, site }, work, options);

test("a message is sent once, and the run it starts can be cancelled", async () => {
  const { result, thread, close } = await inPage(async (connect, { url, token, thread }) => {
    const client = await connect({ url, token });
    const conversation = client.thread(thread);
    const seen = [];
    const ended = new Promise((resolve) => conversation.on("agent_cancelled", resolve));
    conversation.on("*", (event) => seen.push(event.type));
    const messageId = "0199108a-e818-71a0-9c10-5e2f7b10d43a";
    const first = await conversation.send("hello", { messageId });
    const again = await conversation.send("hello", { messageId });
    const other = await conversation.send("another");
    const cancelled = await conversation.cancel(first.run, "enough");
    const end = await ended;
    const { position, outbox } = conversation;
    return { first, again, other, cancelled, end, seen, position, outbox };
  });
  const { first, again, other, cancelled, end, seen, position, outbox } = await result;
  assert.deepEqual(again, first);
  assert.match(first.run, new RegExp(`^${thread}_run_`));
  assert.match(other.messageId, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.deepEqual(cancelled, { run: first.run, seq: end.seq });
  assert.equal(end.data.reason, "enough");
  assert.deepEqual(seen, ["user_message", "user_message", "agent_cancelled"]);
  assert.equal(position.seq, end.seq);
  // Also what was sent again when its event had come already.
  assert.deepEqual(outbox, []);
  await close();
});

test("a handler that throws is reported, and the others are still called", async () => {
  const work = async (connect, { url, token, thread }) => {
    const client = await connect({ url, token });
    const conversation = client.thread(thread);
    const seen = [];
    conversation.on("*", () => {
      throw new Error("a handler's own mistake");
    });
    conversation.on("*", (event) => seen.push(event.data.text));
    conversation.onBatch((events, info) => seen.push([info.first, info.last, events.length]));
    const done = new Promise((resolve) => conversation.on("agent_completed", resolve));
    window.ready = true;
    await done;
    return seen.flat().filter((entry) => typeof entry === "string");
  };
  const { result, page, run, close } = await inPage(work, { expectedErrors: [/own mistake/] });
  await page.waitForFunction(() => window.ready);
  await server.publish(run, "agent_started", { agent: "test" });
  for (const text of ["a", "b", "c"]) await server.publish(run, "agent_thinking", { text });
  await server.publish(run, "agent_completed", {});
  assert.deepEqual(await result, ["a", "b", "c"]);
  await close();
});

test("a handler may close, attach and send from within", async () => {
  const work = async (connect, { url, token, thread }) => {
    const client = await connect({ url, token });
    const first = client.thread(thread);
    const seen = [];
    const sent = await new Promise((resolve) => {
      first.on("*", async (event) => {
        seen.push(event.seq);
        if (seen.length > 1) return;
        const sending = first.send("from a handler");
        first.close();
        client.thread(thread).on("user_message", (message) => resolve({ sending, message }));
      });
      window.ready = true;
    });
    return { seen, sent: await sent.sending, message: sent.message };
  };
  const { result, page, run, close } = await inPage(work);
  await page.waitForFunction(() => window.ready);
  await server.publish(run, "agent_started", { agent: "test" });
  const { seen, sent, message } = await result;
  assert.deepEqual(seen, [1]);
  assert.equal(message.seq, sent.seq);
  await close();
});

test("a loop that is slow pauses its thread, and misses nothing", async () => {
  const { result, page, sent, run, close } = await inPage(async (connect, { url, token, thread }) => {
    const client = await connect({ url, token });
    const events = client.thread(thread).events();
    await events.next();
    await new Promise((resolve) => (window.goOn = resolve));
    const seqs = [1];
    for await (const event of events) {
      seqs.push(event.seq);
      if (event.type === "agent_completed") break;
    }
    return seqs;
  });
  const event = (type, data) => ({ id: crypto.randomUUID(), run, type, data });
  await server.publish(run, "agent_started", { agent: "test" });
  for (let round = 0; round < 12; round++) {
    const texts = Array.from({ length: 1000 }, (_, n) => event("agent_thinking", { text: `${n}` }));
    await server.post("/v1/events", texts);
  }
  await server.publish(run, "agent_completed", {});
  await page.waitForFunction(() => window.goOn);
  await page.evaluate(() => window.goOn());
  assert.deepEqual(sent.slice(0, 3), ["hello", "subscribe", "unsubscribe"]);
  assert.deepEqual(await result, [...Array(12_002).keys()].map((n) => n + 1));
  await close();
});

test("what is refused says why, with a code", async () => {
  const work = async (connect, { url, token }, RethreadError) => {
    const code = async (work) => {
      try {
        await work();
        return "nothing";
      } catch (error) {
        return error instanceof RethreadError ? error.code : `not ours: ${error}`;
      }
    };
    const client = await connect({ url, token });
    const refused = await new Promise((resolve) => client.thread("thread_of_nobody").on("error", resolve));
    const iterated = await code(async () => {
      for await (const _ of client.thread("thread_that_is_not_there").events());
    });
    const codes = {
      refused: refused.code,
      iterated,
      badThread: await code(() => client.thread("nonsense/..")),
      badRun: await code(() => client.thread("thread_x").cancel("no run")),
      noRun: await code(() => client.thread("thread_x").cancel("thread_x_run_1756919162904_9adf1f09")),
      badUrl: await code(() => connect({ url: "ftp://host", token })),
      noToken: await code(() => connect({ url })),
      badAfter: await code(() => client.thread("thread_y", { after: "yesterday" })),
    };
    client.close();
    client.close();
    codes.closed = await code(() => client.thread("thread_z"));
    codes.sendClosed = await code(() => client.thread("thread_x"));
    codes.status = client.status.state;
    const stranger = await connect({ url, token: "not a token" });
    const status = await new Promise((resolve) =>
      stranger.on("status", (status) => status.state === "closed" && resolve(status)),
    );
    return { ...codes, stranger: status.code };
  };
  const { result, close } = await inPage(work, { expectedErrors: [/cannot be followed/] });
  assert.deepEqual(await result, {
    refused: "thread_not_found",
    iterated: "thread_not_found",
    badThread: "bad_id",
    badRun: "bad_id",
    noRun: "run_not_found",
    badUrl: "bad_option",
    noToken: "bad_option",
    badAfter: "bad_option",
    closed: "closed",
    sendClosed: "closed",
    status: "closed",
    stranger: "unauthorized",
  });
  await close();
});

test("the status tells the story of a connection", async () => {
  const work = async (connect, { url, token, thread }) => {
    const told = [];
    const client = await connect({ url, token });
    client.on("status", (status) => told.push(status));
    client.thread(thread).on("*", () => {});
    const until = (is) =>
      new Promise((resolve) => {
        const off = client.on("status", (status) => {
          if (is(status)) {
            off();
            resolve();
          }
        });
      });
    await until((status) => status.state === "online" && status.caughtUp);
    window.ready = true;
    await until((status) => status.state === "waiting");
    await until((status) => status.state === "online" && status.caughtUp);
    client.close();
    return told;
  };
  const { result, page, run, close } = await inPage(work);
  await page.waitForFunction(() => window.ready);
  await server.crash();
  const told = await result;
  const states = told.map((status) => status.state);
  assert.equal(states[0], "online");
  assert.deepEqual(told[0].replayed, 0);
  assert.ok(states.includes("waiting") && states.includes("connecting"), states.join());
  assert.equal(states.at(-1), "closed");
  const waiting = told.find((status) => status.state === "waiting");
  assert.equal(typeof waiting.reason, "string");
  assert.ok(waiting.attempt >= 1 && waiting.retryAt > 1.7e12);
  assert.ok(run);
  await close();
});

test("what is too large is refused before it is sent, is shown, and the connection stays", async () => {
  const { result, sent, close } = await inPage(async (connect, { url, token, thread }) => {
    const client = await connect({ url: `${url}/v1/ws`, token });
    const conversation = client.thread(thread);
    const code = (promise) => promise.then(() => "done", (error) => error.code);
    // Two bytes each.
    const text = "\u00e4".repeat(32 * 1024);
    const tooLong = await code(conversation.send(`${text}.`));
    const { run } = await conversation.send(text);
    return {
      tooLong,
      agent: await code(conversation.send("x", { agent: "a".repeat(257) })),
      reason: await code(conversation.cancel(run, "a".repeat(257))),
      cancelled: await code(conversation.cancel(run, "a".repeat(256))),
      outbox: conversation.outbox.map(({ state, error }) => [state, error?.code]),
    };
  });
  assert.deepEqual(await result, {
    tooLong: "event_too_large",
    agent: "bad_option",
    reason: "bad_option",
    cancelled: "done",
    // The second is in the log, whose events nobody follows here.
    outbox: [["failed", "event_too_large"], ["stored", undefined], ["failed", "bad_option"]],
  });
  assert.deepEqual(sent, ["hello", "send", "cancel"]);
  await close();
});

test("a loop that begins again after a reset misses nothing", async () => {
  const work = async (connect, { url, token, thread }) => {
    const client = await connect({ url, token });
    const told = [];
    const conversation = client.thread(thread, { after: { epoch: "00000001", seq: 7 } });
    conversation.on("reset", ({ reason }) => told.push(reason));
    const events = conversation.events();
    const code = await events.next().then(() => "none", (error) => error.code);
    // Everything has come before the loop asks again.
    await new Promise((resolve) => {
      if (client.status.caughtUp) resolve();
      client.on("status", (status) => status.caughtUp && resolve());
    });
    const seqs = [];
    for await (const event of conversation.events()) {
      seqs.push(event.seq);
      if (event.type === "agent_completed") break;
    }
    return { code, told, seqs };
  };
  const { thread, run } = await server.thread();
  await server.publish(run, "agent_started", { agent: "test" });
  for (const text of ["a", "b"]) await server.publish(run, "agent_thinking", { text });
  await server.publish(run, "agent_completed", {});
  const { result, close } = await inPage(work, { more: { thread } });
  assert.deepEqual(await result, { code: "reset", told: ["epoch_changed"], seqs: [1, 2, 3, 4] });
  await close();
});

test("a refused thread says so to whoever comes late, and can be asked for anew", async () => {
  const work = async (connect, { url, token }) => {
    const client = await connect({ url, token });
    const id = "thread_not_made_yet";
    const old = client.thread(id);
    await new Promise((resolve) => old.on("error", resolve));
    const code = (error) => error.code;
    let attached = "nothing";
    try {
      old.on("*", () => {});
    } catch (error) {
      attached = error.code;
    }
    const iterated = await old.events().next().then(() => "nothing", code);
    window.ready = true;
    await new Promise((resolve) => (window.goOn = resolve));
    const next = client.thread(id);
    const first = next.events().next();
    await next.send("hello");
    const { value } = await first;
    return { attached, iterated, isNew: next !== old, seq: value.seq };
  };
  const { result, page, close } = await inPage(work);
  await page.waitForFunction(() => window.ready && window.goOn);
  await server.post("/v1/threads", { thread: "thread_not_made_yet" });
  await page.evaluate(() => window.goOn());
  const refused = "thread_not_found";
  assert.deepEqual(await result, { attached: refused, iterated: refused, isNew: true, seq: 1 });
  await close();
});

test("nothing is heard after a close from within a handler", async () => {
  const work = async (connect, { url, token, thread }) => {
    const client = await connect({ url, token });
    const seen = [];
    const states = [];
    client.on("status", ({ state }) => states.push(state));
    await new Promise((resolve) => {
      client.thread(thread).on("*", (event) => {
        seen.push(event.seq);
        client.close();
        seen.push(client.status.state);
        resolve();
      });
      client.thread(thread).on("*", () => seen.push("the second handler"));
      client.thread(thread).onBatch(() => seen.push("the batch"));
    });
    return { seen, states };
  };
  const { thread, run } = await server.thread();
  await server.publish(run, "agent_started", { agent: "test" });
  await server.publish(run, "agent_thinking", { text: "a" });
  const { result, close } = await inPage(work, { more: { thread } });
  const { seen, states } = await result;
  assert.deepEqual(seen, [1, "closed"]);
  assert.equal(states.filter((state) => state === "closed").length, 1);
  await close();
});

test("the token function hears that its token was refused", async () => {
  const { result, close } = await inPage(async (connect, { url, token }) => {
    const wishes = [];
    const client = await connect({
      url,
      token: (wish) => {
        wishes.push(wish);
        return wish.refused ? token : "worn out";
      },
    });
    await new Promise((resolve) => client.on("status", ({ state }) => state === "online" && resolve()));
    return wishes;
  });
  assert.deepEqual(await result, [{ refused: false }, { refused: true }]);
  await close();
});

test("the status counts what is replayed as it comes", async () => {
  const work = async (connect, { url, token, thread }) => {
    const client = await connect({ url, token });
    const told = [];
    let batches = 0;
    client.thread(thread).onBatch((_, { replayed }) => (batches += replayed ? 1 : 0));
    await new Promise((resolve) =>
      client.on("status", (status) => {
        if (status.state !== "online") return;
        told.push([status.caughtUp, status.replayed]);
        if (status.caughtUp) resolve();
      }),
    );
    return { told, batches };
  };
  const { thread, run } = await server.thread();
  await server.publish(run, "agent_started", { agent: "test" });
  await server.publish(run, "agent_thinking", { text: "a" });
  const { result, close } = await inPage(work, { more: { thread } });
  const { told, batches } = await result;
  assert.deepEqual(told[0], [false, 0]);
  assert.deepEqual(told.at(-1), [true, 2]);
  assert.ok(told.some(([caughtUp, replayed]) => !caughtUp && replayed === 2), JSON.stringify(told));
  assert.equal(told.length, batches + 2);
  await close();
});

test("importing on a server does nothing", async () => {
  const { execFileSync } = await import("node:child_process");
  const script = 'const { connect } = await import("@rethread/client"); console.log(typeof connect)';
  const words = ["--input-type=module", "--eval", script];
  const said = execFileSync(process.execPath, words, { cwd: project.folder, encoding: "utf8" });
  assert.equal(said.trim(), "function");
});
