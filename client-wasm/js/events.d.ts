/**
 * Events: a union that `switch (event.type)` narrows. PROTOCOL.md, "Events", has the same as JSON.
 *
 * @module
 */

/**
 * One thing that happened in a run. A union that `switch (event.type)` narrows; what is left in
 * `default` is an {@link UnknownEvent}, from an agent that is newer than this package.
 */
export type RethreadEvent = KnownEvent | UnknownEvent;

/** An event of a type that this version knows. */
export type KnownEvent = RethreadEvents[EventType];

/** The types that this version knows. */
export type EventType = keyof RethreadEvents;

/** The event that goes with each type. */
export interface RethreadEvents {
  /** An agent has taken the run on. */
  agent_started: AgentStartedEvent;
  /** A piece of what the agent thinks. */
  agent_thinking: AgentThinkingEvent;
  /** A tool works. */
  tool_executing: ToolExecutingEvent;
  /** A tool has answered, or failed. */
  tool_completed: ToolCompletedEvent;
  /** The run has ended well. */
  agent_completed: AgentCompletedEvent;
  /** A piece of the answer's text. */
  message_delta: MessageDeltaEvent;
  /** The run has ended with an error. */
  agent_failed: AgentFailedEvent;
  /** The run was stopped. */
  agent_cancelled: AgentCancelledEvent;
  /** A person's message. */
  user_message: UserMessageEvent;
  /** Something of the application's own. */
  custom: CustomEvent;
}

/** What all events have. */
export interface EventBase {
  /** Its place in the thread: 1, 2, 3, … without holes. */
  seq: number;
  /** The publisher's id for it, a UUID. */
  id: string;
  /** The run it belongs to. */
  run: string;
  /**
   * True when this browser had it before the page was loaded: what a user interface has shown already,
   * and need not type out again. Absent otherwise.
   */
  replayed?: true;
  /**
   * When it happened, milliseconds since 1970, by the publisher's clock. For showing; order is the
   * matter of `seq`.
   */
  at: number;
}

/** An agent has taken the run on. */
export interface AgentStartedEvent extends EventBase {
  /** What happened. */
  type: "agent_started";
  /** More about it. */
  data: {
    /** The agent's name. */
    agent: string;
    /** What it says at its start. */
    message?: string;
  };
}

/** A piece of what the agent thinks. */
export interface AgentThinkingEvent extends EventBase {
  /** What happened. */
  type: "agent_thinking";
  /** More about it. */
  data: {
    /** A chunk; chunks are shown one after the other as they are. */
    text: string;
  };
}

/** A tool works. */
export interface ToolExecutingEvent extends EventBase {
  /** What happened. */
  type: "tool_executing";
  /** More about it. */
  data: {
    /** Names the call within its run; `tool_completed` repeats it. */
    call_id: string;
    /** The tool's name. */
    tool: string;
    /** What it was called with, any JSON. */
    input?: unknown;
  };
}

/** A tool has answered, or failed: with `output`, with `error`, or with neither; never with both. */
export interface ToolCompletedEvent extends EventBase {
  /** What happened. */
  type: "tool_completed";
  /** More about it. */
  data: {
    /** The call that is done. */
    call_id: string;
    /** What it answered, any JSON. */
    output?: unknown;
    /** What went wrong, for a person. */
    error?: string;
    /** How long it took, milliseconds. */
    took_ms?: number;
  };
}

/** The run has ended well. */
export interface AgentCompletedEvent extends EventBase {
  /** What happened. */
  type: "agent_completed";
  /** More about it. */
  data: {
    /** What came of it, any JSON. */
    result?: unknown;
    /** What it cost (tokens and the like), any JSON. */
    usage?: unknown;
  };
}

/** A piece of the answer's text. */
export interface MessageDeltaEvent extends EventBase {
  /** What happened. */
  type: "message_delta";
  /** More about it. */
  data: {
    /** The message this is a piece of; a run may write several. */
    message_id: string;
    /** The piece, to be put behind those before it. */
    text: string;
  };
}

/** The run has ended with an error. */
export interface AgentFailedEvent extends EventBase {
  /** What happened. */
  type: "agent_failed";
  /** More about it. */
  data: {
    /** A stable name. The server's own is `agent_lost`: the agent went away and stayed away. */
    code: string;
    /** The same for a person. */
    message: string;
  };
}

/** The run was stopped. */
export interface AgentCancelledEvent extends EventBase {
  /** What happened. */
  type: "agent_cancelled";
  /** More about it. */
  data: {
    /** The user who stopped it. */
    by: string;
    /** Why. */
    reason?: string;
  };
}

/** A person's message. */
export interface UserMessageEvent extends EventBase {
  /** What happened. */
  type: "user_message";
  /** More about it. */
  data: {
    /** The id that the sender gave it. */
    message_id: string;
    /** What was said. */
    text: string;
    /** The agent that is asked; without it any may answer. */
    agent?: string;
    /** The user who said it. */
    by?: string;
  };
}

/** Something of the application's own. */
export interface CustomEvent extends EventBase {
  /** What happened. */
  type: "custom";
  /** More about it. */
  data: {
    /** The application's name for it. */
    name: string;
    /** Any JSON. */
    value: unknown;
  };
}

/** An event of a type that this version does not know, as it came. */
export interface UnknownEvent extends EventBase {
  /** What happened, in the words of its publisher. */
  type: UnknownEventType;
  /** More about it, any JSON. */
  data: unknown;
}

/**
 * The type of an {@link UnknownEvent}: at run time a string that is no {@link EventType}. Compare it
 * by way of `string`: `(event.type as string) === "weather_changed"`.
 */
export type UnknownEventType = AnyOtherType;

// An enum that exists for the compiler only. A string with a mark (`string & {…}`) would be the
// natural type, but one such member keeps `switch (event.type)` from narrowing the whole union.
declare enum AnyOtherType {
  AnyOther = "any other string",
}

export {};
