import { describe, expect, test } from "vitest";

import { fold } from "../src/fold";
import { activeRun, EMPTY, type Part } from "../src/view";
import { freeze, log, numbers, randomLog } from "./events";

const A = "thread_x_run_1756919162904_0000000a";
const B = "thread_x_run_1756919162905_0000000b";

describe("a run", () => {
  const whole = log(
    [A, "user_message", { message_id: "u1", text: "What is a cursor?", by: "dev" }],
    [A, "agent_started", { agent: "docs", message: "Reading." }],
    [A, "agent_thinking", { text: "Let me " }],
    [A, "agent_thinking", { text: "look." }],
    [A, "tool_executing", { call_id: "c1", tool: "search", input: { query: "cursor" } }],
    [A, "message_delta", { message_id: "m1", text: "A cursor " }],
    [A, "tool_completed", { call_id: "c1", output: ["PROTOCOL.md"], took_ms: 12 }],
    [A, "message_delta", { message_id: "m1", text: "is a position." }],
    [A, "agent_completed", { usage: { tokens: 9 } }],
  );

  test("becomes what a chat shows, in order", () => {
    const view = fold(EMPTY, whole);
    expect(view.seq).toBe(9);
    expect(view.opening).toBe("What is a cursor?");
    expect(view.runs).toHaveLength(1);
    expect(view.runs[0]).toMatchObject({ id: A, state: "completed", agent: "docs" });
    expect(view.runs[0]!.endedAt! - view.runs[0]!.startedAt!).toBe(7000);
    expect(view.runs[0]!.parts).toEqual([
      { kind: "said", key: 1, messageId: "u1", text: "What is a cursor?", by: "dev" },
      { kind: "note", key: 2, text: "Reading." },
      { kind: "thinking", key: 3, text: "Let me look.", from: whole[2]!.at, until: whole[3]!.at },
      {
        kind: "tool", key: 5, callId: "c1", tool: "search", state: "completed",
        input: { query: "cursor" }, output: ["PROTOCOL.md"], error: undefined, tookMs: 12,
      },
      { kind: "answer", key: 6, messageId: "m1", text: "A cursor is a position." },
    ] satisfies Part[]);
  });

  test("is asked, then running, and may be stopped until it ends", () => {
    expect(activeRun(fold(EMPTY, whole.slice(0, 1)))).toMatchObject({ id: A, state: "asked" });
    expect(activeRun(fold(EMPTY, whole.slice(0, 2)))).toMatchObject({ id: A, state: "running" });
    expect(activeRun(fold(EMPTY, whole))).toBeUndefined();
  });

  test("that ends takes its unfinished tools along", () => {
    const view = fold(EMPTY, log(
      [A, "agent_started", { agent: "docs" }],
      [A, "tool_executing", { call_id: "c1", tool: "search" }],
      [A, "agent_failed", { code: "agent_lost", message: "gone" }],
    ));
    expect(view.runs[0]).toMatchObject({
      state: "failed",
      ending: { kind: "failed", code: "agent_lost", message: "gone" },
      parts: [{ kind: "tool", state: "abandoned" }],
    });
  });

  test("keeps apart from another that goes on at the same time", () => {
    const view = fold(EMPTY, log(
      [A, "agent_started", { agent: "a" }],
      [B, "agent_started", { agent: "b" }],
      [A, "message_delta", { message_id: "m", text: "from a" }],
      [B, "message_delta", { message_id: "m", text: "from b" }],
      [A, "agent_cancelled", { by: "dev", reason: "enough" }],
    ));
    expect(view.runs.map(({ id, state }) => [id, state])).toEqual([[A, "cancelled"], [B, "running"]]);
    expect(view.runs.map(({ parts }) => (parts[0] as { text: string }).text)).toEqual(["from a", "from b"]);
    expect(view.runs[0]!.ending).toEqual({ kind: "cancelled", by: "dev", reason: "enough" });
  });

  test("may call a tool by the same name again once it has completed", () => {
    const view = fold(EMPTY, log(
      [A, "agent_started", { agent: "a" }],
      [A, "tool_executing", { call_id: "c", tool: "search" }],
      [A, "tool_completed", { call_id: "c", error: "no" }],
      [A, "tool_executing", { call_id: "c", tool: "search" }],
      [A, "tool_completed", { call_id: "c", output: 1 }],
    ));
    expect(view.runs[0]!.parts).toMatchObject([
      { state: "failed", error: "no" }, { state: "completed", output: 1 },
    ]);
  });
});

test("events of types from a newer agent are shown, not dropped", () => {
  const view = fold(EMPTY, log(
    [A, "agent_started", { agent: "docs" }],
    [A, "weather_changed", { to: "rain" }],
    [A, "custom", { name: "progress", value: 0.5 }],
  ));
  expect(view.runs[0]!.parts).toEqual([
    { kind: "extra", key: 2, name: "weather_changed", value: { to: "rain" } },
    { kind: "extra", key: 3, name: "progress", value: 0.5 },
  ]);
});

test("a log whose beginning is no longer kept still shows what there is", () => {
  const view = fold(EMPTY, log([A, "message_delta", { message_id: "m", text: "the rest" }]));
  expect(view.runs[0]).toMatchObject({ state: "running", parts: [{ kind: "answer", text: "the rest" }] });
});

describe("the laws of the fold", () => {
  const seed = Number(import.meta.env["VITE_SEED"] ?? Math.floor(Math.random() * 2 ** 31));

  test(`it does not matter how events are cut into batches (VITE_SEED=${seed})`, () => {
    for (let round = 0; round < 200; round++) {
      const below = numbers(seed + round);
      const events = freeze(randomLog(seed + round, 20 + below(120)));
      const whole = fold(EMPTY, events);
      let view = freeze(EMPTY);
      for (let from = 0; from < events.length; ) {
        const until = from + 1 + below(20);
        const next = fold(view, events.slice(from, until));
        // Frozen: a fold that changed what it was given would throw.
        view = freeze(next);
        from = until;
      }
      expect(view, `seed ${seed + round}`).toEqual(whole);
    }
  });

  test(`what no event touches stays the same object (VITE_SEED=${seed})`, () => {
    for (let round = 0; round < 50; round++) {
      const events = randomLog(seed + round, 100);
      let view = EMPTY;
      for (const event of events) {
        const next = fold(view, [event]);
        next.runs.forEach((run, place) => {
          if (run.id !== event.run) expect(run).toBe(view.runs[place]);
        });
        const place = view.places.get(event.run);
        if (place !== undefined && event.type === "message_delta") {
          const changed = next.runs[place]!.parts.filter((part, at) => part !== view.runs[place]!.parts[at]);
          expect(changed.map(({ kind }) => kind)).toEqual(["answer"]);
        }
        view = next;
      }
    }
  });

  test("nothing added gives the very same view", () => {
    const view = fold(EMPTY, randomLog(seed, 10));
    expect(fold(view, [])).toBe(view);
  });
});
