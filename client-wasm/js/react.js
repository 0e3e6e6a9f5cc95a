"use client";

import {
  createContext,
  createElement,
  useCallback,
  useContext,
  useEffect,
  useMemo,
  useRef,
  useState,
  useSyncExternalStore,
} from "react";
import { connect } from "./index.js";

/** How long a thread that no component shows any more is still followed, milliseconds: one that is
 * shown again soon, as React itself does in development, has missed nothing. */
const LINGER_MS = 5000;

const EMPTY = Object.freeze({ seq: 0, runs: Object.freeze([]) });
const NONE = Object.freeze([]);
const CONNECTING = Object.freeze({ state: "connecting", attempt: 1 });

const Connection = createContext(undefined);

/** Gives the components within a connection; see react.d.ts. */
export function RethreadProvider({ client, children, ...options }) {
  const [made, setMade] = useState(undefined);
  const [error, setError] = useState(undefined);
  const ready = useRef(undefined);
  ready.current ??= deferred();
  // Options may be made anew at each render; what counts is what they say.
  const latest = useRef(options);
  useEffect(() => {
    latest.current = options;
  });
  const { url, user } = options;
  const address = url === undefined ? undefined : String(url);

  useEffect(() => {
    if (client) return undefined;
    let isOver = false;
    let own;
    setError(undefined);
    const token = (wish) => {
      const { token: given } = latest.current;
      return typeof given === "function" ? given(wish) : given;
    };
    const given = latest.current;
    connect({ ...given, token: typeof given.token === "function" ? token : given.token }).then(
      (client) => {
        own = client;
        if (isOver) client.close();
        else setMade(client);
      },
      (cause) => {
        if (isOver) return;
        setError(cause);
        ready.current.reject(cause);
      },
    );
    return () => {
      isOver = true;
      own?.close();
      setMade(undefined);
    };
  }, [client, address, user]);

  const current = client ?? made;
  useEffect(() => {
    if (!current) return undefined;
    ready.current.resolve(current);
    return () => {
      ready.current = deferred();
    };
  }, [current]);

  const connection = useMemo(
    () => ({ client: current, error, ready: () => current ?? ready.current.promise }),
    [current, error],
  );
  return createElement(Connection.Provider, { value: connection }, children);
}

/** The connection itself, or undefined while there is none yet. */
export function useRethread() {
  return useConnection().client;
}

/** What the connection does now. */
export function useStatus() {
  const { client, error } = useConnection();
  const subscribe = useCallback((changed) => client?.on("status", changed) ?? nothing, [client]);
  const status = useSyncExternalStore(
    subscribe,
    () => client?.status ?? CONNECTING,
    () => CONNECTING,
  );
  return useMemo(
    () => (error ? { state: "closed", code: error.code, reason: error.message } : status),
    [error, status],
  );
}

/** A conversation, to be shown; see react.d.ts. */
export function useThread(id) {
  const { client, ready } = useConnection();
  const status = useStatus();
  const { thread, cause } = useFollowed(client, id);

  const view = useSyncExternalStore(
    useCallback((changed) => attach(thread, (thread) => thread.onView(changed)), [thread]),
    () => thread?.view ?? EMPTY,
    () => EMPTY,
  );
  const outbox = useSyncExternalStore(
    useCallback((changed) => attach(thread, (thread) => thread.onOutbox(changed)), [thread]),
    () => thread?.outbox ?? NONE,
    () => NONE,
  );
  const [refusal, setRefusal] = useState(undefined);
  const [hasEvents, setHasEvents] = useState(false);
  const [wasEmpty, setWasEmpty] = useState(false);
  useEffect(() => {
    setRefusal(undefined);
    // Another component may have followed it before.
    setHasEvents(thread?.position?.seq > 0);
    setWasEmpty(false);
    const off = attach(thread, (thread) => thread.on("error", setRefusal), setRefusal);
    const offBatch = attach(thread, (thread) => thread.onBatch(() => setHasEvents(true)));
    const voided = () => {
      setHasEvents(false);
      setWasEmpty(false);
    };
    const offReset = attach(thread, (thread) => thread.on("reset", voided));
    return () => [off, offBatch, offReset].forEach((off) => off());
  }, [thread]);
  const error = cause ?? refusal;
  const isOver = error !== undefined || status.state === "closed";
  // What has come may not be folded yet. What was empty is so while the connection is away, too.
  const isNowEmpty = Boolean(status.caughtUp && thread?.position) && !hasEvents;
  useEffect(() => {
    if (isNowEmpty) setWasEmpty(true);
  }, [isNowEmpty]);
  const isEmpty = isNowEmpty || (wasEmpty && !hasEvents);
  const isLoading = id !== undefined && view.seq === 0 && !isEmpty && !isOver;

  // The thread as it is when something is said, which may be before there is a connection.
  const now = useCallback(async () => (await ready()).thread(id), [ready, id]);
  const send = useCallback(async (text, options) => (await now()).send(text, options), [now]);
  const cancel = useCallback(async (run, reason) => (await now()).cancel(run, reason), [now]);
  const discard = useCallback((id) => thread?.discard(id), [thread]);

  return useMemo(
    () => ({ view, isLoading, outbox, status, error, send, cancel, discard, thread }),
    [view, isLoading, outbox, status, error, send, cancel, discard, thread],
  );
}

/** Calls `handler` for the events of a conversation; see react.d.ts. */
export function useEvents(id, handler, type = "*") {
  const { client } = useConnection();
  const { thread } = useFollowed(client, id);
  const latest = useRef(handler);
  useEffect(() => {
    latest.current = handler;
  });
  useEffect(
    () => attach(thread, (thread) => thread.on(type, (event) => latest.current(event))),
    [thread, type],
  );
}

function useConnection() {
  const connection = useContext(Connection);
  if (!connection) throw new Error("this needs a <RethreadProvider> around it");
  return connection;
}

/** By client and id: how many components show the thread, and the timer that ends it. */
const followed = new WeakMap();

const NOTHING = Object.freeze({});

/** The thread as long as a component shows it, or the cause why there is none. */
function useFollowed(client, id) {
  const [now, setFollowed] = useState(NOTHING);
  useEffect(() => {
    if (!client || id === undefined) return undefined;
    if (!followed.has(client)) followed.set(client, new Map());
    const shown = followed.get(client);
    const entry = shown.get(id) ?? { count: 0, timer: undefined };
    shown.set(id, entry);
    clearTimeout(entry.timer);
    entry.count += 1;
    let thread;
    try {
      thread = client.thread(id);
      setFollowed({ client, id, thread });
    } catch (cause) {
      // That all is over, the status says; it is nothing about this thread.
      if (cause.code !== "closed") setFollowed({ client, id, cause });
    }
    // What is on its way is shown again to who comes back, and so is a message that was refused.
    const isShown = ({ kind, state }) => kind === "message" || state !== "failed";
    const end = () => {
      if (thread?.outbox.some(isShown) && client.status.state !== "closed") {
        entry.timer = setTimeout(end, LINGER_MS);
        return;
      }
      shown.delete(id);
      thread?.close();
    };
    return () => {
      setFollowed(NOTHING);
      entry.count -= 1;
      if (entry.count === 0) entry.timer = setTimeout(end, LINGER_MS);
    };
  }, [client, id]);
  // Not one of another id, or of another user, for the moment between.
  return now.client === client && now.id === id ? now : NOTHING;
}

/** Attaches to a thread that may be refused or closed already. */
function attach(thread, to, refused) {
  if (!thread) return nothing;
  try {
    return to(thread);
  } catch (error) {
    refused?.(error);
    return nothing;
  }
}

function nothing() {}

function deferred() {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  // Whoever waits hears of it; there may be nobody.
  made.promise.catch(() => {});
  return made;
}
