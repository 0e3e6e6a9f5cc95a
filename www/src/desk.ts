import type { Client, Status } from "@rethread/client";

import type { Api, ThreadEntry } from "./api";
import { Conversation } from "./conversation";
import { title } from "./format";
import { Store } from "./store";

/**
 * Conversations that are followed at once: the one shown, and those shown before it, so that going
 * back is instant and their answers go on. Well under the server's 256 for one connection.
 */
const FOLLOWED_MAX = 12;

/** What the page knows beside the conversations themselves. */
export interface DeskState {
  readonly status: Status;
  /** The threads, newest activity first; `undefined` before the server has listed them. */
  readonly threads: readonly ThreadEntry[] | undefined;
  /** First messages that this page knows, as titles by thread; the server's list may lag. */
  readonly titles: ReadonlyMap<string, string>;
  /** Why the list or a new conversation could not be had. */
  readonly trouble: string | undefined;
}

/** The threads, the connection, and the conversations that are open. */
export class Desk extends Store<DeskState> {
  /** In the order of use, the newest last. */
  private readonly open = new Map<string, Conversation>();

  constructor(private readonly client: Client, private readonly api: Api) {
    super({ status: client.status, threads: undefined, titles: new Map(), trouble: undefined });
    client.on("status", (status) => {
      const before = this.read().status.state;
      this.write({ status });
      if (status.state === "online" && before !== "online") void this.refresh();
    });
    window.addEventListener("focus", () => void this.refresh());
    void this.refresh();
  }

  /**
   * The conversation with this id, followed from its first event.
   *
   * @throws `RethreadError` `bad_id`, or `closed` once the connection is over.
   */
  conversation(id: string): Conversation {
    const known = this.open.get(id);
    // One that was refused is tried anew: it may exist by now.
    const isUsable = known !== undefined && known.read().refusal === undefined;
    const conversation = isUsable ? known : new Conversation(this.client, id, () => this.noticeEvents(id));
    this.open.delete(id);
    this.open.set(id, conversation);
    for (const [other, old] of this.open) {
      if (this.open.size <= FOLLOWED_MAX) break;
      if (other === id || !old.isIdle()) continue;
      old.close();
      this.open.delete(other);
    }
    return conversation;
  }

  /**
   * Makes a thread that will begin with this message; gives its id, or nothing where that failed,
   * which is then told.
   */
  async create(opening?: string): Promise<string | undefined> {
    try {
      const entry = await this.api.create();
      if (opening !== undefined) this.learn(entry.thread, opening);
      const others = (this.read().threads ?? []).filter(({ thread }) => thread !== entry.thread);
      this.write({ threads: [entry, ...others], trouble: undefined });
      return entry.thread;
    } catch (error) {
      this.write({ trouble: `A new conversation could not be made: ${(error as Error).message}` });
      return undefined;
    }
  }

  /** Asks the server for the list again. */
  async refresh(): Promise<void> {
    try {
      this.write({ threads: await this.api.threads(), trouble: undefined });
    } catch (error) {
      // While the connection is down its own words say so.
      if (this.read().status.state === "online") {
        this.write({ trouble: `The conversations could not be listed: ${(error as Error).message}` });
      }
    }
  }

  /** A thread's title: its first message, where that is known. */
  titleOf(id: string): string {
    const { titles, threads } = this.read();
    const entry = threads?.find(({ thread }) => thread === id);
    const known = titles.get(id) ?? entry?.title;
    if (known) return known;
    return entry?.head === 0 ? "New conversation" : "Untitled conversation";
  }

  /** Learns the title, and moves the thread up: its activity is the newest. */
  private noticeEvents(id: string): void {
    const { opening, seq } = this.open.get(id)!.read().view;
    const { threads } = this.read();
    if (opening !== undefined) this.learn(id, opening);
    const entry = threads?.find(({ thread }) => thread === id);
    if (threads && entry && entry.head < seq && (entry.head === 0 || threads[0] !== entry)) {
      const others = threads.filter(({ thread }) => thread !== id);
      this.write({ threads: [{ ...entry, head: seq }, ...others] });
    }
  }
  private learn(id: string, opening: string): void {
    const { titles } = this.read();
    if (titles.get(id) !== title(opening)) {
      this.write({ titles: new Map(titles).set(id, title(opening)) });
    }
  }
}
