/**
 * The view: what a chat shows of a thread. PROTOCOL.md, "The view", has the same as JSON.
 *
 * @module
 */

/**
 * What a chat shows of a thread, made from its events alone, the same everywhere. It is never changed in
 * place: a new one shares all objects that no event has touched, so that `===` tells what to draw anew.
 */
export interface View {
  /** The last event in it; 0 before the first. */
  readonly seq: number;
  /** The text of the first message that a person wrote. */
  readonly opening?: string;
  /** The runs, in the order of their first events. */
  readonly runs: readonly Run[];
}

/** One execution of an agent. */
export interface Run {
  /** Its id; names it within the view. */
  readonly id: string;
  /** How far it is. */
  readonly state: RunState;
  /** The agent that took it on. */
  readonly agent?: string;
  /** When its agent started, milliseconds since 1970 by the agent's clock. */
  readonly started_at?: number;
  /** When it ended, by the clock of whoever ended it. */
  readonly ended_at?: number;
  /** Why it did not end well. */
  readonly ending?: Ending;
  /** What happened in it, in order. */
  readonly parts: readonly Part[];
}

/** `asked`: no agent has started. The last three are ends. */
export type RunState = "asked" | "running" | "completed" | "failed" | "cancelled";

/** Why a run did not end well. */
export type Ending =
  | {
      /** It ended with an error. */
      readonly kind: "failed";
      /** A stable name for it. */
      readonly code: string;
      /** The same for a person. */
      readonly message: string;
    }
  | {
      /** Somebody stopped it. */
      readonly kind: "cancelled";
      /** The user who did. */
      readonly by: string;
      /** Why. */
      readonly reason?: string;
    };

/** One thing that is shown of a run; `switch (part.kind)` narrows it. */
export type Part = Said | Note | Thinking | ToolCall | Answer | Extra;

/** What all parts have. */
export interface PartBase {
  /** The event that began it; names it within the view. */
  readonly seq: number;
}

/** What a person said. */
export interface Said extends PartBase {
  /** Tells the parts apart. */
  readonly kind: "said";
  /** The id that the sender gave it. */
  readonly message_id: string;
  /** What was said. */
  readonly text: string;
  /** The user who said it. */
  readonly by?: string;
}

/** What an agent says at its start. */
export interface Note extends PartBase {
  /** Tells the parts apart. */
  readonly kind: "note";
  /** What it says. */
  readonly text: string;
}

/** What an agent thinks: neighbouring chunks, joined. */
export interface Thinking extends PartBase {
  /** Tells the parts apart. */
  readonly kind: "thinking";
  /** What it thinks. */
  readonly text: string;
  /** When its first chunk came, milliseconds since 1970 by the agent's clock. */
  readonly from: number;
  /** When its last chunk came. */
  readonly until: number;
}

/** A call of a tool. */
export interface ToolCall extends PartBase {
  /** Tells the parts apart. */
  readonly kind: "tool";
  /** Its id within the run. */
  readonly call_id: string;
  /** The tool's name. */
  readonly tool: string;
  /** `abandoned`: its run ended before it did. */
  readonly state: "executing" | "completed" | "failed" | "abandoned";
  /** What it was called with, any JSON; absent where there was none. */
  readonly input?: unknown;
  /** What it answered, any JSON; absent where there was none. */
  readonly output?: unknown;
  /** What went wrong, for a person. */
  readonly error?: string;
  /** How long it took, milliseconds. */
  readonly took_ms?: number;
}

/** An answer's text: all deltas of one message, joined. */
export interface Answer extends PartBase {
  /** Tells the parts apart. */
  readonly kind: "answer";
  /** The message's id; names it within its run. */
  readonly message_id: string;
  /** What there is of it so far. */
  readonly text: string;
}

/** What the view has no form for: a `custom` event, or a type from a newer agent. */
export interface Extra extends PartBase {
  /** Tells the parts apart. */
  readonly kind: "extra";
  /** The custom event's name, or the type. */
  readonly name: string;
  /** Its value, or its data; any JSON. */
  readonly value: unknown;
}
