/**
 * The view: what a chat shows of a thread. It is made from the thread's events by `fold` and by
 * nothing else, and it is never changed in place: parts that a fold does not touch stay the very
 * same objects, so that React skips them.
 */
export interface View {
  /** The last event in it; 0 before the first. */
  readonly seq: number;
  /** The runs, in the order of their first events. */
  readonly runs: readonly Run[];
  /** Where each run stands in `runs`. */
  readonly places: ReadonlyMap<string, number>;
  /** The text of the first user message. */
  readonly opening: string | undefined;
}

/** One execution of an agent. */
export interface Run {
  readonly id: string;
  readonly state: RunState;
  /** The agent that took it on. */
  readonly agent: string | undefined;
  /** When its agent started, milliseconds since 1970 by the agent's clock. */
  readonly startedAt: number | undefined;
  /** When it ended, by the clock of whoever ended it. */
  readonly endedAt: number | undefined;
  /** Why it did not end well. */
  readonly ending: Ending | undefined;
  /** What happened in it, in order. */
  readonly parts: readonly Part[];
}

/** `asked`: no agent has started. The last three are ends. */
export type RunState = "asked" | "running" | "completed" | "failed" | "cancelled";

/** Why a run did not end well. */
export type Ending =
  | { readonly kind: "failed"; readonly code: string; readonly message: string }
  | { readonly kind: "cancelled"; readonly by: string; readonly reason: string | undefined };

/** One thing that is shown of a run. `key` is the `seq` of the event that began it. */
export type Part = Said | Note | Thinking | ToolCall | Answer | Extra;

/** What a person said. */
export interface Said {
  readonly kind: "said";
  readonly key: number;
  readonly messageId: string;
  readonly text: string;
  readonly by: string | undefined;
}

/** What an agent says at its start. */
export interface Note {
  readonly kind: "note";
  readonly key: number;
  readonly text: string;
}

/** What an agent thinks: neighbouring chunks, joined. */
export interface Thinking {
  readonly kind: "thinking";
  readonly key: number;
  readonly text: string;
  /** When its first and last chunk came, by the agent's clock. */
  readonly from: number;
  readonly until: number;
}

/** A call of a tool. */
export interface ToolCall {
  readonly kind: "tool";
  readonly key: number;
  readonly callId: string;
  readonly tool: string;
  /** `abandoned`: its run ended before the tool did. */
  readonly state: "executing" | "completed" | "failed" | "abandoned";
  /** Absent where the call had none. */
  readonly input?: unknown;
  /** Absent where the tool gave none. */
  readonly output?: unknown;
  readonly error: string | undefined;
  readonly tookMs: number | undefined;
}

/** An answer's text: all deltas of one message, joined. */
export interface Answer {
  readonly kind: "answer";
  readonly key: number;
  readonly messageId: string;
  readonly text: string;
}

/** An event that this page has no form for: a `custom` one, or a type from a newer agent. */
export interface Extra {
  readonly kind: "extra";
  readonly key: number;
  readonly name: string;
  readonly value: unknown;
}

/** The view of a thread without events. */
export const EMPTY: View = { seq: 0, runs: [], places: new Map(), opening: undefined };

/** True while a run may still go on. */
export function isActive(run: Run): boolean {
  return run.state === "asked" || run.state === "running";
}

/** The newest run that may still go on. */
export function activeRun(view: View): Run | undefined {
  return view.runs.findLast(isActive);
}
