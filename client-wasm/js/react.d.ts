/**
 * Rethread in React, from version 18 on.
 *
 * ```jsx
 * import { RethreadProvider, useThread } from "@rethread/client/react";
 *
 * function Chat({ id }) {
 *   const { view, status, send } = useThread(id);
 *   return view.runs.map((run) => <Run key={run.id} run={run} />);
 * }
 *
 * <RethreadProvider token={fetchToken}><Chat id="thread_x" /></RethreadProvider>
 * ```
 *
 * Safe under StrictMode and concurrent rendering. On a server, where components are only rendered, it
 * does nothing: views are empty and the status is `connecting`.
 *
 * @packageDocumentation
 */
import type { ReactElement, ReactNode } from "react";

import type {
  Cancelled,
  Client,
  ConnectOptions,
  OutgoingCommand,
  RethreadError,
  RethreadEvent,
  SendOptions,
  Sent,
  Status,
  Thread,
  ThreadHandlers,
  View,
} from "./index.js";

/** What {@link RethreadProvider} takes: a client that is there, or what makes one. */
export type RethreadProviderProps = {
  /** The components that use the connection. */
  children?: ReactNode;
} & (
  | {
      /** The connection; whoever made it closes it. */
      client: Client;
    }
  | (ConnectOptions & {
      /** Without one, the provider makes one. */
      client?: undefined;
    })
);

/**
 * Gives the components within a connection. One that it makes itself it closes when it goes; it makes
 * a new one when `url` or `user` change. A token function is taken as it is at the latest render.
 */
export function RethreadProvider(props: RethreadProviderProps): ReactElement;

/** The connection itself; undefined while the WebAssembly loads, and on a server. */
export function useRethread(): Client | undefined;

/** What the connection does now. */
export function useStatus(): Status;

/** What {@link useThread} gives; the same object while nothing in it changes. */
export interface UsedThread {
  /** What the conversation shows. It changes once a frame at most, and shares what has not changed. */
  view: View;
  /**
   * True while there is nothing to show and there may be: neither this browser nor the server has said
   * yet that the conversation is empty.
   */
  isLoading: boolean;
  /** Messages and cancels that the log does not show yet. */
  outbox: readonly OutgoingCommand[];
  /** What the connection does now. */
  status: Status;
  /** Why the conversation cannot be followed, for example `thread_not_found`, or `bad_id`. */
  error: RethreadError | undefined;
  /** See {@link Thread.send}. May be called before there is a connection. The same for the same id. */
  send(text: string, options?: SendOptions): Promise<Sent>;
  /** See {@link Thread.cancel}. The same for the same id. */
  cancel(run: string, reason?: string): Promise<Cancelled>;
  /** See {@link Thread.discard}. */
  discard(id: string): void;
  /** The conversation itself; undefined while there is no connection. */
  thread: Thread | undefined;
}

/**
 * Follows a conversation as long as the component is there, and a few seconds longer, or until its
 * outbox is empty. However many components use the same id, it is followed once. Without an id it does
 * nothing.
 */
export function useThread(id: string | undefined): UsedThread;

/**
 * Calls `handler` for the events of a conversation: all, or those of one type. The handler of the latest
 * render is called, so it need not be memoised.
 */
export function useEvents(id: string | undefined, handler: (event: RethreadEvent) => void): void;
export function useEvents<K extends keyof ThreadHandlers>(
  id: string | undefined,
  handler: (event: ThreadHandlers[K]) => void,
  type: K,
): void;
