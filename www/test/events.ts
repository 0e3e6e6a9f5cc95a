import type { RethreadEvent } from "@rethread/client";

/** Makes a thread's log out of `[run, type, data]`, numbered from 1, a second apart. */
export function log(...steps: [run: string, type: string, data: unknown][]): RethreadEvent[] {
  return steps.map(([run, type, data], place) => ({
    seq: place + 1,
    id: `00000000-0000-7000-8000-${String(place + 1).padStart(12, "0")}`,
    run,
    type,
    at: 1_756_919_162_000 + place * 1000,
    data,
  })) as RethreadEvent[];
}

/** A generator of numbers below `bound`, the same ones for the same seed (mulberry32). */
export function numbers(seed: number): (bound: number) => number {
  let state = seed >>> 0;
  return (bound) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % bound;
  };
}

/** A log of several runs that go on at once, as a server would accept it. */
export function randomLog(seed: number, length: number): RethreadEvent[] {
  const below = numbers(seed);
  const steps: [string, string, unknown][] = [];
  const runs: { id: string; state: "asked" | "running"; calls: string[] }[] = [];
  let count = 0;
  while (steps.length < length) {
    if (runs.length === 0 || (runs.length < 4 && below(12) === 0)) {
      const id = `thread_x_run_1756919162904_${(++count).toString(16).padStart(8, "0")}`;
      const isAsked = below(3) > 0;
      runs.push({ id, state: isAsked ? "asked" : "running", calls: [] });
      steps.push(
        isAsked
          ? [id, "user_message", { message_id: `u${count}`, text: `question ${count}`, by: "dev" }]
          : [id, "agent_started", { agent: "docs", message: "hello" }],
      );
      continue;
    }
    const place = below(runs.length);
    const run = runs[place]!;
    const push = (type: string, data: unknown): void => void steps.push([run.id, type, data]);
    if (run.state === "asked") {
      if (below(8) === 0) {
        push("agent_cancelled", { by: "dev" });
        runs.splice(place, 1);
      } else {
        push("agent_started", { agent: "docs" });
        run.state = "running";
      }
      continue;
    }
    switch (below(12)) {
      case 0: case 1: case 2:
        push("agent_thinking", { text: `t${steps.length} ` });
        break;
      case 3: case 4: case 5: case 6:
        push("message_delta", { message_id: `m${below(2)}`, text: `d${steps.length} ` });
        break;
      case 7: {
        const call = `c${steps.length}`;
        run.calls.push(call);
        push("tool_executing", { call_id: call, tool: "search", input: { query: call } });
        break;
      }
      case 8: {
        const call = run.calls.shift();
        if (call === undefined) break;
        if (below(3) === 0) push("tool_completed", { call_id: call, error: "no" });
        else push("tool_completed", { call_id: call, output: [call], took_ms: 5 });
        break;
      }
      case 9:
        push("weather_changed", { to: "rain" });
        break;
      case 10:
        push("custom", { name: "progress", value: steps.length });
        break;
      default: {
        const end = below(3);
        if (end === 0) push("agent_failed", { code: "x", message: "broke" });
        else if (end === 1) push("agent_cancelled", { by: "dev", reason: "enough" });
        else push("agent_completed", {});
        runs.splice(place, 1);
      }
    }
  }
  return log(...steps);
}

/** Makes a value and all in it unchangeable, so that a write to it throws. */
export function freeze<T>(value: T): T {
  if (value !== null && typeof value === "object" && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(freeze);
  }
  return value;
}
