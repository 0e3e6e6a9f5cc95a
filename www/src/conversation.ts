import type { Client, RethreadError, RethreadEvent, Thread } from "@rethread/client";

import { fold } from "./fold";
import { type Pending, settle, uuid } from "./pending";
import { record } from "./record";
import * as saved from "./saved";
import { Store } from "./store";
import { EMPTY, type View } from "./view";

/**
 * Events that wait for the next frame at most. A hidden tab draws no frames; beyond this it folds
 * at once, so that its memory holds the view and not the history of its making.
 */
const WAITING_EVENTS_MAX = 4_096;

/** What the page knows of one conversation. */
export interface Talk {
  readonly view: View;
  /** Messages of this page that the log does not show yet, oldest first. */
  readonly pending: readonly Pending[];
  /** Runs that this page has asked to stop. */
  readonly stopping: ReadonlySet<string>;
  /** Why the conversation cannot be followed; nothing more comes. */
  readonly refusal: RethreadError | undefined;
  /** Something that the reader should know, until put away. */
  readonly notice: string | undefined;
}

/** One conversation: follows its thread and folds what comes, once a frame at most. */
export class Conversation extends Store<Talk> {
  private readonly thread: Thread;
  private waiting: RethreadEvent[] = [];
  private frame = 0;

  constructor(client: Client, readonly id: string, private readonly onEvents: () => void) {
    super({
      view: EMPTY, pending: saved.pending(id), stopping: new Set(), refusal: undefined, notice: undefined,
    });
    this.thread = client.thread(id);
    record(this.thread);
    this.thread.onBatch((events) => this.receive(events));
    this.thread.on("reset", ({ reason }) => {
      this.waiting = [];
      this.write({ view: EMPTY, stopping: new Set(), notice: RESET_WORDS[reason] });
    });
    this.thread.on("error", (refusal) => this.write({ refusal }));
    // A reload may have come between a message and its answer. The id makes saying it again safe.
    for (const message of this.read().pending) this.transmit(message);
  }

  /** Says something. It is shown at once, and kept until the log has it. */
  send(text: string): void {
    const message: Pending = { messageId: uuid(), text, refusal: undefined };
    this.keep([...this.read().pending, message]);
    this.transmit(message);
  }

  /** Sends a refused message again. */
  retry(messageId: string): void {
    const message = this.amend(messageId, undefined);
    if (message) this.transmit(message);
  }

  /** Forgets a refused message. */
  discard(messageId: string): void {
    this.keep(this.read().pending.filter((message) => message.messageId !== messageId));
  }

  /** Stops a run. */
  async stop(run: string): Promise<void> {
    const stopping = (change: (set: Set<string>) => void): void => {
      const set = new Set(this.read().stopping);
      change(set);
      this.write({ stopping: set });
    };
    stopping((set) => set.add(run));
    try {
      await this.thread.cancel(run);
    } catch (error) {
      const { code, message } = error as RethreadError;
      // Both say that there is nothing left to stop.
      if (code !== "run_ended" && code !== "closed") {
        this.write({ notice: `The run could not be stopped: ${message}` });
      }
      stopping((set) => set.delete(run));
    }
  }

  /** Puts the notice away. */
  dismiss(): void {
    this.write({ notice: undefined });
  }

  /** True when nothing is lost by following the thread no longer. */
  isIdle(): boolean {
    return this.read().pending.length === 0;
  }

  /** Follows the thread no longer. */
  close(): void {
    this.thread.close();
    cancelAnimationFrame(this.frame);
  }

  private receive(events: RethreadEvent[]): void {
    for (const event of events) this.waiting.push(event);
    if (this.waiting.length >= WAITING_EVENTS_MAX && document.hidden) this.take();
    else if (this.frame === 0) this.frame = requestAnimationFrame(() => this.take());
  }

  private take(): void {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const events = this.waiting;
    if (events.length === 0) return;
    this.waiting = [];
    const { view, pending } = this.read();
    const left = settle(pending, events);
    if (left !== pending) saved.keepPending(this.id, left);
    this.write({ view: fold(view, events), pending: left });
    this.onEvents();
  }

  private transmit({ messageId, text }: Pending): void {
    this.thread.send(text, { messageId }).catch((error: RethreadError) => {
      // The page or the connection is going; the message is kept and goes out with the next one.
      if (error.code === "event_too_large") this.amend(messageId, TOO_LONG, true);
      else if (error.code !== "closed") this.amend(messageId, error.message);
    });
  }

  private amend(messageId: string, refusal: string | undefined, isHopeless = false): Pending | undefined {
    this.keep(
      this.read().pending.map((message) =>
        message.messageId === messageId ? { ...message, refusal, isHopeless } : message,
      ),
    );
    return this.read().pending.find((message) => message.messageId === messageId);
  }

  private keep(pending: readonly Pending[]): void {
    this.write({ pending });
    saved.keepPending(this.id, pending);
  }
}

const TOO_LONG = "it is longer than a message may be (64 KiB). Send it in parts, or as a link.";

const RESET_WORDS: Record<string, string> = {
  epoch_changed: "The server's log of this conversation was made anew. It is shown from its first event.",
  position_ahead: "The server's log had lost what this page had already shown. It is shown from its first event.",
  retention: "The server no longer keeps this conversation's oldest events. It is shown from the first one kept.",
  other: "The server asked this page to begin again. The conversation is shown from the first event kept.",
};
