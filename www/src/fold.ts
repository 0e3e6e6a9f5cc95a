import type { KnownEvent, RethreadEvent } from "@rethread/client";

import type { Ending, Part, Run, RunState, ToolCall, View } from "./view";

/**
 * Adds events to a view. Pure, and it does not matter how the events are cut into batches:
 * `fold(v, [...a, ...b])` equals `fold(fold(v, a), b)`.
 *
 * The cost is that of the events plus one copy of each run they touch, so fold large batches.
 * Neither `view` nor the events are changed; runs and parts that no event touches are shared.
 */
export function fold(view: View, events: readonly RethreadEvent[]): View {
  if (events.length === 0) return view;
  const draft = new Draft(view);
  for (const event of events) draft.take(event as KnownEvent);
  return draft.done();
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type Open<T extends Part> = T extends Part ? Mutable<T> : never;
type OpenRun = Mutable<Omit<Run, "parts">> & { parts: Part[] };

/** A view in the making. What it has copied it owns, and may change until `done`. */
class Draft {
  private readonly view: Mutable<View>;
  private runs: Run[] | undefined;
  private places: Map<string, number> | undefined;
  private readonly owned = new Set<object>();

  constructor(before: View) {
    this.view = { ...before };
  }

  done(): View {
    return this.view;
  }

  take(event: KnownEvent): void {
    this.view.seq = event.seq;
    const run = this.run(event);
    const { seq: key, at } = event;
    switch (event.type) {
      case "user_message": {
        const { message_id: messageId, text, by } = event.data;
        run.parts.push({ kind: "said", key, messageId, text, by });
        this.view.opening ??= text;
        break;
      }
      case "agent_started":
        run.state = "running";
        run.agent = event.data.agent;
        run.startedAt = at;
        if (event.data.message) run.parts.push({ kind: "note", key, text: event.data.message });
        break;
      case "agent_thinking": {
        const last = run.parts.at(-1);
        if (last?.kind === "thinking") {
          const thinking = this.part(run, run.parts.length - 1, last);
          thinking.text += event.data.text;
          thinking.until = at;
        } else {
          run.parts.push({ kind: "thinking", key, text: event.data.text, from: at, until: at });
        }
        break;
      }
      case "message_delta": {
        const { message_id: messageId, text } = event.data;
        const place = run.parts.findLastIndex(
          (part) => part.kind === "answer" && part.messageId === messageId,
        );
        const answer = run.parts[place];
        if (answer?.kind === "answer") this.part(run, place, answer).text += text;
        else run.parts.push({ kind: "answer", key, messageId, text });
        break;
      }
      case "tool_executing": {
        const { call_id: callId, tool } = event.data;
        const call: Mutable<ToolCall> = {
          kind: "tool", key, callId, tool, state: "executing", error: undefined, tookMs: undefined,
        };
        if (event.data.input !== undefined) call.input = event.data.input;
        run.parts.push(call);
        break;
      }
      case "tool_completed": {
        const { call_id: callId, output, error, took_ms: tookMs } = event.data;
        const place = run.parts.findLastIndex(
          (part) => part.kind === "tool" && part.callId === callId && part.state === "executing",
        );
        const part = run.parts[place];
        if (part?.kind !== "tool") break;
        const call = this.part(run, place, part);
        call.state = error === undefined ? "completed" : "failed";
        if (output !== undefined) call.output = output;
        call.error = error;
        call.tookMs = tookMs;
        break;
      }
      case "agent_completed":
        this.end(run, "completed", at);
        break;
      case "agent_failed":
        this.end(run, "failed", at, {
          kind: "failed", code: event.data.code, message: event.data.message,
        });
        break;
      case "agent_cancelled": {
        const { by, reason } = event.data;
        this.end(run, "cancelled", at, { kind: "cancelled", by, reason });
        break;
      }
      case "custom":
        run.parts.push({ kind: "extra", key, name: event.data.name, value: event.data.value });
        break;
      default: {
        const { type, data } = event as RethreadEvent;
        run.parts.push({ kind: "extra", key, name: type, value: data });
      }
    }
  }

  private end(run: OpenRun, state: RunState, at: number, ending?: Ending): void {
    run.state = state;
    run.endedAt = at;
    run.ending = ending;
    run.parts.forEach((part, place) => {
      if (part.kind === "tool" && part.state === "executing") {
        this.part(run, place, part).state = "abandoned";
      }
    });
  }

  /** The event's run, made where it is new, copied where it is not ours yet. */
  private run({ run: id, type }: KnownEvent): OpenRun {
    const known = this.view.places.get(id);
    const before = known === undefined ? undefined : this.view.runs[known];
    if (before && this.owned.has(before)) return before as OpenRun;
    const runs = (this.runs ??= [...this.view.runs]);
    this.view.runs = runs;
    const run: OpenRun = before
      ? { ...before, parts: [...before.parts] }
      : {
          id,
          // A log whose beginning is no longer kept may open in the middle of a run.
          state: type === "user_message" ? "asked" : "running",
          agent: undefined,
          startedAt: undefined,
          endedAt: undefined,
          ending: undefined,
          parts: [],
        };
    if (known === undefined) {
      this.places ??= new Map(this.view.places);
      this.places.set(id, runs.length);
      this.view.places = this.places;
      runs.push(run);
    } else {
      runs[known] = run;
    }
    this.owned.add(run);
    return run;
  }

  /** A part of an owned run that may be changed. */
  private part<T extends Part>(run: OpenRun, place: number, part: T): Open<T> {
    if (this.owned.has(part)) return part as Open<T>;
    const copy = { ...part };
    this.owned.add(copy);
    run.parts[place] = copy;
    return copy as Open<T>;
  }
}
