/**
 * What a page has asked for and the log does not show yet.
 *
 * @module
 */
import type { RethreadError } from "./index.js";

/**
 * A message or a cancel on its way. It is kept in this browser until it is done, so that neither a
 * reload nor a lost connection loses it; its id makes asking again harmless.
 */
export type OutgoingCommand = OutgoingMessage | OutgoingCancel;

/** How far it is. */
export interface OutgoingBase {
  /**
   * `queued`: waits for a connection. `sent`: on its way. `stored`: in the log; a message stays in the
   * outbox until its `user_message` event has come, too. `failed`: refused, see `error`; it stays
   * until it is sent again under the same id, or discarded ({@link Thread.discard}).
   */
  readonly state: "queued" | "sent" | "stored" | "failed";
  /** Why it failed. */
  readonly error?: RethreadError;
  /** The run that answers, or was stopped, once it is stored. */
  readonly run?: string;
  /** Its place in the log, once it is stored. */
  readonly seq?: number;
}

/** A message on its way. */
export interface OutgoingMessage extends OutgoingBase {
  /** Tells messages and cancels apart. */
  readonly kind: "message";
  /** The message's id. */
  readonly id: string;
  /** What is said. */
  readonly text: string;
  /** The agent that is asked. */
  readonly agent?: string;
}

/** A run that is to be stopped. */
export interface OutgoingCancel extends OutgoingBase {
  /** Tells messages and cancels apart. */
  readonly kind: "cancel";
  /** The run. */
  readonly id: string;
  /** For the log. */
  readonly reason?: string;
}
