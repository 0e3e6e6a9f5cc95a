/**
 * Rethread in the browser: follow the events of AI agents, in order and exactly once, through
 * dropped connections, sleeping laptops and restarted servers.
 *
 * ```js
 * import { connect } from "@rethread/client";
 *
 * const client = await connect({ url: "https://rethread.example.com", token: () => fetchToken() });
 * const thread = client.thread("thread_13679e4dcc38403a");
 * thread.on("message_delta", (event) => show(event.data.text));
 * await thread.send("What is a cursor?");
 * ```
 *
 * @packageDocumentation
 */

import type { RethreadEvent, RethreadEvents, UnknownEvent } from "./events.js";
import type { OutgoingCommand } from "./outbox.js";
import type { View } from "./view.js";

export type * from "./events.js";
export type * from "./outbox.js";
export type * from "./view.js";

/**
 * Loads the WebAssembly, once for the page however often this is called, and starts to connect.
 *
 * Resolves as soon as the client can be used, which is before the server has answered: threads may
 * be followed and messages sent at once, and {@link Client.status} says how the connection fares. A
 * page that opens without network therefore works as soon as the network is there.
 *
 * @throws {@link RethreadError} `bad_option` for an option that cannot be used, `wasm_failed` when
 *   the WebAssembly could not be loaded.
 */
export function connect(options: ConnectOptions): Promise<Client>;

/** What {@link connect} needs. */
export interface ConnectOptions {
  /**
   * Where the server is: `https://host`, `http://host`, `wss://host` or `ws://host`, with or without
   * a path in front of `/v1/ws`, and with or without that. Default: where the page came from.
   */
  url?: string | URL;
  /**
   * The token that says who this is and what it may do; or a function that brings one. The function
   * is called for every connection, and again when a token is about to expire, so a page may stay
   * open for days. When it throws, the client tries again later.
   */
  token: string | ((wish: TokenWish) => string | Promise<string>);
  /**
   * Where the WebAssembly comes from, for pages that cannot fetch it from beside the package's
   * JavaScript: its address, an answer of `fetch`, its bytes, or a compiled module. Counts for the
   * page's first `connect` only.
   */
  wasm?: WasmSource;
  /** The same for the WebAssembly that makes views; it is fetched when the first is asked for. */
  viewWasm?: WasmSource;
  /** The same for the WebAssembly that does without WebSocket; it is fetched when that is blocked. */
  fallbackWasm?: WasmSource;
  /**
   * Whether the tabs of one user share one connection (default: true, where the browser has Web Locks
   * and BroadcastChannel). Tabs are of one user when their tokens are JWTs with the same `iss`, `sub`,
   * `scope` and `threads`.
   */
  tabs?: boolean;
  /**
   * Whether events and messages on their way are kept in this browser (default: true), so that a
   * reload shows a thread at once and loses nothing. What cannot be kept, {@link Status} says.
   */
  cache?: boolean;
  /**
   * Whose threads these are: what is kept for one user is never shown to another. Default: the `sub`
   * of a token that is a JWT. Say it here where a token comes from a function that may be slow, and
   * nothing is to wait for it.
   */
  user?: string;
}

/** Where WebAssembly comes from. */
export type WasmSource =
  | string
  | URL
  | Request
  | Response
  | Promise<Response>
  | BufferSource
  | WebAssembly.Module;

/** What a token function is told. */
export interface TokenWish {
  /**
   * True when the server has refused the last token, as expired or otherwise, or it is about to
   * expire: bring a new one, not one from a cache.
   */
  refused: boolean;
}

/** A connection to a server; one serves a whole page. */
export interface Client {
  /** What the connection does now. */
  readonly status: Status;
  /**
   * Calls `handler` at every change of {@link Client.status}; not for the present one.
   *
   * @returns a function that takes the handler off again.
   */
  on(type: "status", handler: (status: Status) => void): () => void;
  /**
   * The conversation with this id; the same object for the same id until that is closed, or refused
   * by the server ({@link ThreadHandlers.error}): then this makes a new one, which tries again.
   * Nothing is asked of the server until a handler is attached, or something is sent.
   *
   * @param options count for the call that makes the object.
   * @throws {@link RethreadError} `bad_id` for what cannot be a thread's id, `closed` after
   *   {@link Client.close}.
   */
  thread(id: string, options?: ThreadOptions): Thread;
  /**
   * Deletes what is kept of this user in this browser: for a log-out. Nothing is kept from then on.
   */
  forget(): Promise<void>;
  /**
   * Closes the connection for good. From then on no handler is called, also when this is called
   * from within one. Iterators end, and promises that wait for the server are rejected with `closed`.
   * Calling it again does nothing.
   */
  close(): void;
}

/** How {@link Client.thread} follows a thread. */
export interface ThreadOptions {
  /**
   * Where to begin: `"start"` with the first event that the server keeps (default), `"now"` with
   * the next one, or with the event after a {@link Position} that was saved earlier.
   */
  after?: "start" | "now" | Position;
}

/**
 * A conversation.
 *
 * It is followed from the moment that the first handler or iterator is attached; all that are
 * attached in the same turn of the event loop see everything from {@link ThreadOptions.after} on.
 * One that is attached later sees what comes after. To see everything again, `close()` it and ask
 * `client.thread(id)` for a new one.
 *
 * A handler is called once for each event, in the order of `seq`, also across reconnects. One that
 * throws is reported (`reportError`), and the others are still called.
 */
export interface Thread {
  /** Its id, `thread_…`. */
  readonly id: string;
  /**
   * The last event that was handed to handlers; inside a handler, the event it is called with. Give
   * it as {@link ThreadOptions.after} to go on from here after a reload. `null` before the server
   * has answered the first time.
   */
  readonly position: Position | null;
  /**
   * Calls `handler` for each event of one type, or of every type with `"*"`. Two names are the
   * thread's own: `"reset"` and `"error"` (see {@link ThreadHandlers}).
   *
   * @returns a function that takes the handler off again.
   */
  on<K extends keyof ThreadHandlers>(type: K, handler: (event: ThreadHandlers[K]) => void): () => void;
  /**
   * The same for events of a type that this version does not know.
   *
   * @returns a function that takes the handler off again.
   */
  on<T extends string>(
    type: T extends keyof ThreadHandlers ? never : T,
    handler: (event: UnknownEvent) => void,
  ): () => void;
  /**
   * Calls `handler` with the events as they arrived together, after the handlers of
   * {@link Thread.on}. The cheapest way to follow a busy thread: one call, and one render, for
   * hundreds of events.
   *
   * @returns a function that takes the handler off again.
   */
  onBatch(handler: (events: RethreadEvent[], info: BatchInfo) => void): () => void;
  /**
   * What a chat shows of this thread so far. The same object until {@link Thread.onView} tells of
   * another; empty before the first handler of that was attached.
   */
  readonly view: View;
  /**
   * Calls `handler` with the new {@link Thread.view} whenever events have changed it: once a frame at
   * most, however fast they come. The first call loads the part of this package that makes views, and
   * sees to it that the view begins where the thread does ({@link ThreadOptions.after}), also when
   * other handlers were attached long before.
   *
   * @returns a function that takes the handler off again.
   */
  onView(handler: (view: View) => void): () => void;
  /**
   * The events as an endless iteration. Ends with {@link Thread.close} and {@link Client.close}.
   *
   * A loop may be slow. When some 4,096 events wait for it, the server is asked to send no more of
   * this thread until the loop has caught up; nothing is lost, and handlers on the same thread wait
   * with it. So leave a loop (`break`) that is no longer wanted.
   *
   * After a reset ({@link ThreadHandlers.reset}) the loop ends with the error `reset`: what it has
   * seen is void. The log is then kept for it from its first event: begin a new loop over `events()`,
   * or call `next()` again, and it comes without a hole. That holds for as many events as may wait,
   * see above; a loop that has not begun again by then holds up nobody, and one that begins later
   * sees what comes after. To see everything, `close()` the thread and ask for it again.
   *
   * @throws {@link RethreadError} from the loop: `reset`, the code of {@link ThreadHandlers.error},
   *   or of the connection's end.
   */
  events(): AsyncIterableIterator<RethreadEvent>;
  /**
   * Says something to an agent. Resolves when the message is in the thread's log, durably; it is
   * kept and sent again across reconnects until then, and never stored twice.
   *
   * @param text at most 64 KiB as UTF-8.
   * @throws {@link RethreadError} with the server's code, `event_too_large` for a longer text, which
   *   is not sent, `outbox_full`, or `closed`. But for `closed`, {@link Thread.outbox} shows it too.
   */
  send(text: string, options?: SendOptions): Promise<Sent>;
  /**
   * Stops a run. Resolves when its end, `agent_cancelled`, is in the log. Works from any tab.
   *
   * @param reason for the log, at most 256 bytes as UTF-8.
   * @throws {@link RethreadError} `run_ended` when it ended otherwise, `run_not_found`, …
   */
  cancel(run: string, reason?: string): Promise<Cancelled>;
  /**
   * Messages and cancels of this page, and of pages before it, that the log does not show yet, oldest
   * first. The same array until {@link Thread.onOutbox} tells of another.
   */
  readonly outbox: readonly OutgoingCommand[];
  /**
   * Calls `handler` with the new {@link Thread.outbox} at every change of it.
   *
   * @returns a function that takes the handler off again.
   */
  onOutbox(handler: (outbox: readonly OutgoingCommand[]) => void): () => void;
  /** Takes a command that has failed out of the outbox. */
  discard(id: string): void;
  /** Follows the thread no more and takes all handlers off. Iterators end. */
  close(): void;
}

/** What {@link Thread.on} calls a handler with. */
export interface ThreadHandlers extends RethreadEvents {
  /** Every event, whatever its type. */
  "*": RethreadEvent;
  /**
   * What was received of this thread is void (its log was made anew, or no longer has what came
   * after the position): forget it. Events from the first one kept follow.
   */
  reset: Reset;
  /**
   * The server refuses to let this thread be followed, for example with `thread_not_found`. Nothing
   * more will come: to attach another handler throws the same error, and {@link Client.thread} gives
   * a new object. Without a handler it is reported on the console.
   */
  error: RethreadError;
}

/** A place in a thread's log: everything up to and including `seq` has been seen. */
export interface Position {
  /** Names the incarnation of the log, 8 hex digits. */
  epoch: string;
  /** The last event seen; 0 is before the first. */
  seq: number;
}

/** What {@link Thread.onBatch} tells beside the events. */
export interface BatchInfo {
  /** The `seq` of the first event. */
  first: number;
  /** The `seq` of the last event. */
  last: number;
  /** The incarnation of the log. */
  epoch: string;
  /** True for events that had happened before this connection began to follow the thread. */
  replayed: boolean;
}

/** See {@link ThreadHandlers.reset}. */
export interface Reset {
  /** The incarnation of the log now. */
  epoch: string;
  /** Why; a newer server may have other words. */
  reason: "epoch_changed" | "position_ahead" | "retention" | "other";
}

/** See {@link Thread.send}. */
export interface SendOptions {
  /** The agent that is asked; without it any may answer. */
  agent?: string;
  /**
   * The message's id, a UUID. Give one to show the message before the server has it, and to know it
   * again in the `user_message` event. The same id is never stored twice.
   */
  messageId?: string;
}

/** A message that is in the log. */
export interface Sent {
  /** The run in which it will be answered. */
  run: string;
  /** The place of its `user_message` in the thread. */
  seq: number;
  /** Its id. */
  messageId: string;
}

/** A run that was stopped. */
export interface Cancelled {
  /** The run. */
  run: string;
  /** The place of its `agent_cancelled` in the thread. */
  seq: number;
}

// The connection --------------------------------------------------------------------------------

/** What the connection does: a union that `switch (status.state)` narrows. */
export type Status =
  | ConnectingStatus
  | OnlineStatus
  | WaitingStatus
  | OfflineStatus
  | ClosedStatus;

/** What every status has. */
export interface StatusBase {
  /** Why nothing is kept in this browser, where that is so; everything else works. */
  memoryOnly?: string;
}

/** Dialling, or waiting for the server's welcome. */
export interface ConnectingStatus extends StatusBase {
  /** Tells the statuses apart. */
  state: "connecting";
  /**
   * The number of this try: 1 at first, and one more after each that failed. It begins again with 1
   * once a connection has lasted; one that breaks at once counts as a try that failed.
   */
  attempt: number;
}

/** Connected. */
export interface OnlineStatus extends StatusBase {
  /** Tells the statuses apart. */
  state: "online";
  /**
   * True once every thread that is followed has what happened before this connection; false again
   * while a thread that is new, or was reset, catches up.
   */
  caughtUp: boolean;
  /** How many such events this connection has brought so far; moves every few hundred of them. */
  replayed: number;
  /**
   * How: over a WebSocket; or, where the network blocks that, by server-sent events and requests, which
   * does the same. WebSocket is tried again with every page, and every ten minutes.
   */
  transport: "websocket" | "sse";
}

/** Not connected; tries again by itself. */
export interface WaitingStatus extends StatusBase {
  /** Tells the statuses apart. */
  state: "waiting";
  /** The number of the try that comes next, see {@link ConnectingStatus.attempt}. */
  attempt: number;
  /**
   * When, in milliseconds since 1970, as `Date.now()`. Not before the time that the server has named, in
   * `retry_after_ms` or with `Retry-After`.
   */
  retryAt: number;
  /**
   * Why the last connection ended, for a person. After the second that failed it is looked into, and this
   * says what answers instead of the server: a status such as 503, or a page to log in to the network.
   */
  reason: string;
}

/** The browser says that there is no network; tries again when there is. */
export interface OfflineStatus extends StatusBase {
  /** Tells the statuses apart. */
  state: "offline";
}

/** Over: by {@link Client.close}, or because trying again would not help. */
export interface ClosedStatus extends StatusBase {
  /** Tells the statuses apart. */
  state: "closed";
  /** `closed` after {@link Client.close}; otherwise why, for example `unauthorized`. */
  code: ErrorCode;
  /** The same for a person. */
  reason: string;
}

// Errors ----------------------------------------------------------------------------------------

/** Every error that this package throws or rejects with. Decide by `code`, show `message`. */
export class RethreadError extends Error {
  /** For an application's own tests; otherwise this package makes them. */
  constructor(code: ErrorCode, message: string, details?: RethreadErrorDetails);
  /** Tells it apart where `instanceof` cannot: across workers and frames. */
  readonly name: "RethreadError";
  /** A stable name. */
  readonly code: ErrorCode;
  /** What would have been right. */
  readonly expected?: string;
  /** What was received instead, shortened. */
  readonly received?: string;
  /** Each step that was tried to find a run's thread, and what it saw. */
  readonly tried?: string[];
  /** How long to wait before trying again, milliseconds. */
  readonly retryAfterMs?: number;
}

/** The members of {@link RethreadError} beside code and message. */
export interface RethreadErrorDetails extends ErrorOptions {
  /** See {@link RethreadError.expected}. */
  expected?: string;
  /** See {@link RethreadError.received}. */
  received?: string;
  /** See {@link RethreadError.tried}. */
  tried?: string[];
  /** See {@link RethreadError.retryAfterMs}. */
  retryAfterMs?: number;
}

/** A stable name for what went wrong: the server's, the client's own, or one of a newer server. */
export type ErrorCode = ServerErrorCode | ClientErrorCode | (string & {});

/** What the server refuses with; PROTOCOL.md says when. */
export type ServerErrorCode =
  | "bad_frame"
  | "unknown_op"
  | "frame_too_large"
  | "hello_required"
  | "unauthorized"
  | "token_expired"
  | "token_revoked"
  | "keys_unavailable"
  | "forbidden"
  | "thread_not_found"
  | "run_not_found"
  | "not_found"
  | "bad_id"
  | "bad_event"
  | "event_too_large"
  | "too_many_events"
  | "run_unresolved"
  | "run_conflict"
  | "run_order"
  | "run_ended"
  | "thread_taken"
  | "too_many_subscriptions"
  | "too_many_in_flight"
  | "slow_down"
  | "log_unavailable"
  | "orchestrator_unavailable"
  | "shutting_down"
  | "internal";

/** What the client itself refuses with. */
export type ClientErrorCode =
  /** An option has a value that cannot be used. */
  | "bad_option"
  /** The WebAssembly could not be loaded. */
  | "wasm_failed"
  /** A part of this package could not be loaded; on the console only, for it is tried again. */
  | "part_failed"
  /** The client or the thread was closed. */
  | "closed"
  /** The server closed the connection for good; it does not understand this client. */
  | "closed_by_server"
  /** The token function failed; on the console only, for it is called again. */
  | "token_failed"
  /** Too many messages wait for the server. */
  | "outbox_full"
  /** What the loop over {@link Thread.events} has seen is void. */
  | "reset";
