import type { OutgoingMessage, Reset, Run, Status, View } from "@rethread/client";
import { useEvents, useThread } from "@rethread/client/react";
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";

import { record } from "../record";
import { Composer } from "./Composer";
import { DownIcon } from "./icons";
import { PendingMessage } from "./Message";
import { Notice, Over, Unavailable } from "./Notices";
import { isActive, RunBlock, runWords } from "./RunBlock";
import { useFollow } from "./useFollow";
import { Lesson } from "./Welcome";

/** Runs that are drawn at first, the newest; a button brings the ones before them. */
const RUNS_SHOWN = 60;

interface ConversationPaneProps {
  id: string;
  onCreate: () => void;
  /** Is told what is shown of it. */
  onView: (id: string, view: View) => void;
}

/** One conversation: its runs, what is on its way, and the composer. */
export function ConversationPane({ id, onCreate, onView }: ConversationPaneProps) {
  const talk = useThread(id);
  const { view, outbox, status, error, isLoading, send, cancel, discard, thread } = talk;
  const [notice, setNotice] = useState<string>();
  useEvents(id, ({ reason }) => setNotice(RESET_WORDS[reason]), "reset");
  useEffect(() => record(thread), [thread]);
  useEffect(() => onView(id, view), [id, view, onView]);

  const [shown, setShown] = useState(RUNS_SHOWN);
  const scroller = useRef<HTMLDivElement>(null);
  const { isFollowing, follow } = useFollow(scroller, talk);

  // While something is read further up, new runs do not push the oldest shown out above it.
  const surplus = Math.max(0, view.runs.length - shown);
  const [hidden, setHidden] = useState(surplus);
  if (isFollowing ? hidden !== surplus : hidden > surplus) setHidden(surplus);

  const fromEnd = useRef<number>(undefined);
  const showEarlier = (): void => {
    const element = scroller.current!;
    fromEnd.current = element.scrollHeight - element.scrollTop;
    setShown(view.runs.length - hidden + RUNS_SHOWN);
  };
  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element || fromEnd.current === undefined) return;
    element.scrollTop = element.scrollHeight - fromEnd.current;
    fromEnd.current = undefined;
  }, [hidden]);

  // How what is asked for fares, the outbox shows.
  const say = (text: string): boolean => {
    send(text).catch(() => {});
    follow();
    return true;
  };
  const stop = (run: string): void => void cancel(run).catch(() => {});
  const retry = useCallback(
    ({ id, text }: OutgoingMessage) => void send(text, { messageId: id }).catch(() => {}),
    [send],
  );

  if (error) return <Unavailable reason={error.message} onCreate={onCreate} />;

  const pending = outbox.filter((command) => command.kind === "message");
  const stops = outbox.filter(({ kind }) => kind === "cancel");
  const unstopped = stops.find(({ state, error }) => state === "failed" && error?.code !== "run_ended");
  const active = view.runs.findLast(isActive);
  const isEmpty = view.runs.length === 0 && pending.length === 0;

  return (
    <>
      <div className="scroller" ref={scroller} tabIndex={0} role="region" aria-label="Messages">
        <div className="column">
          {notice !== undefined && <Notice text={notice} onPutAway={() => setNotice(undefined)} />}
          {unstopped && (
            <Notice
              text={`The run could not be stopped: ${unstopped.error?.message}`}
              onPutAway={() => discard(unstopped.id)}
            />
          )}
          {isEmpty && isLoading && <p className="quiet loading">Loading the conversation…</p>}
          {isEmpty && !isLoading && (
            <Lesson thread={id} onAsk={status.state === "closed" ? undefined : say} />
          )}
          {hidden > 0 && (
            <button type="button" className="button earlier" onClick={showEarlier}>
              Show earlier messages ({hidden.toLocaleString("en")} more)
            </button>
          )}
          {view.runs.slice(hidden).map((run) => (
            <RunBlock key={run.id} run={run} />
          ))}
          {pending.map((message) => (
            <PendingMessage
              key={message.id}
              message={message}
              words={sendingWords(status)}
              onRetry={retry}
              onDiscard={discard}
            />
          ))}
        </div>
      </div>
      <Announcer run={view.runs.at(-1)} />
      <div className="dock">
        {!isFollowing && (
          <button type="button" className="button jump" data-testid="jump-latest" onClick={follow}>
            <DownIcon /> Jump to latest
          </button>
        )}
        {status.state === "closed" && <Over reason={status.reason} />}
        <Composer
          thread={id}
          status={status}
          awayHelp="What you send now goes out when the connection is back"
          onSend={say}
          onStop={active && (() => stop(active.id))}
          isStopping={stops.some(({ id, state }) => id === active?.id && state !== "failed")}
        />
      </div>
    </>
  );
}

function sendingWords({ state }: Status): string {
  switch (state) {
    case "waiting":
    case "offline":
      return "sending when the connection is back";
    case "closed":
      return "not sent yet: goes out when you connect again";
    default:
      return "sending";
  }
}

const RESET_WORDS: Record<Reset["reason"], string> = {
  epoch_changed: "The server's log of this conversation was made anew. It is shown from its first event.",
  position_ahead: "The server's log had lost what this page had already shown. It is shown from its first event.",
  retention: "The server no longer keeps this conversation's oldest events. It is shown from the first one kept.",
  other: "The server asked this page to begin again. The conversation is shown from the first event kept.",
};

/** Tells a screen reader how the newest run fares, without reading every word as it comes. */
function Announcer({ run }: { run: Run | undefined }) {
  return (
    <p className="unseen" role="status">
      {run && `${run.agent ?? "The agent"}: ${runWords(run)}`}
    </p>
  );
}
