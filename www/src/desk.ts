import { useStatus } from "@rethread/client/react";
import type { View } from "@rethread/client";
import { useCallback, useEffect, useRef, useState } from "react";

import type { Api, ThreadEntry } from "./api";
import { title } from "./format";

/** The list of conversations. */
export interface Desk {
  /** The threads, newest activity first; `undefined` before the server has listed them. */
  readonly threads: readonly ThreadEntry[] | undefined;
  /** First messages that this page knows, as titles by thread; the server's list may lag. */
  readonly titles: ReadonlyMap<string, string>;
  /** Why the list or a new conversation could not be had. */
  readonly trouble: string | undefined;
  /**
   * Makes a thread that will begin with this message; gives its id, or nothing where that failed,
   * which is then told.
   */
  create(opening?: string): Promise<string | undefined>;
  /** Learns a thread's title, and moves it up where it has something new. */
  notice(thread: string, view: View): void;
}

/** The list, asked for again whenever the connection or the reader comes back. */
export function useDesk(api: Api): Desk {
  const isOnline = useStatus().state === "online";
  const online = useRef(isOnline);
  const [threads, setThreads] = useState<readonly ThreadEntry[]>();
  const [titles, setTitles] = useState<ReadonlyMap<string, string>>(new Map());
  const [trouble, setTrouble] = useState<string>();

  const learn = useCallback((thread: string, opening: string) => {
    const name = title(opening);
    setTitles((titles) => (titles.get(thread) === name ? titles : new Map(titles).set(thread, name)));
  }, []);
  const notice = useCallback(
    (thread: string, { opening, seq }: View) => {
      if (opening !== undefined) learn(thread, opening);
      setThreads((threads) => {
        const entry = threads?.find((entry) => entry.thread === thread);
        const isNew = entry && entry.head < seq && (entry.head === 0 || entry !== threads![0]);
        return isNew ? [{ ...entry, head: seq }, ...threads!.filter((other) => other !== entry)] : threads;
      });
    },
    [learn],
  );
  const create = useCallback(
    async (opening?: string) => {
      try {
        const entry = await api.create();
        if (opening !== undefined) learn(entry.thread, opening);
        setThreads((threads = []) => [entry, ...threads.filter(({ thread }) => thread !== entry.thread)]);
        setTrouble(undefined);
        return entry.thread;
      } catch (error) {
        setTrouble(`A new conversation could not be made: ${(error as Error).message}`);
        return undefined;
      }
    },
    [api, learn],
  );
  const refresh = useCallback(async () => {
    try {
      setThreads(await api.threads());
      setTrouble(undefined);
    } catch (error) {
      // While the connection is down its own words say so.
      if (online.current) setTrouble(`The conversations could not be listed: ${(error as Error).message}`);
    }
  }, [api]);

  useEffect(() => {
    void refresh();
    window.addEventListener("focus", refresh);
    return () => window.removeEventListener("focus", refresh);
  }, [refresh]);
  useEffect(() => {
    if (isOnline && !online.current) void refresh();
    online.current = isOnline;
  }, [isOnline, refresh]);

  return { threads, titles, trouble, create, notice };
}

/** A thread's title: its first message, where that is known. */
export function titleOf({ threads, titles }: Desk, id: string): string {
  const entry = threads?.find(({ thread }) => thread === id);
  const known = titles.get(id) ?? entry?.title;
  if (known) return known;
  return entry?.head === 0 ? "New conversation" : "Untitled conversation";
}
