import type { Status } from "@rethread/client";
import { useCallback, useLayoutEffect, useRef, useState } from "react";

import type { Conversation } from "../conversation";
import { useStore } from "../store";
import { activeRun, type Run } from "../view";
import { Composer } from "./Composer";
import { CloseIcon, DownIcon } from "./icons";
import { PendingMessage } from "./Message";
import { Over, Unavailable } from "./Notices";
import { RunBlock, runWords } from "./RunBlock";
import { useFollow } from "./useFollow";
import { Lesson } from "./Welcome";

/** Runs that are drawn at first, the newest; a button brings the ones before them. */
const RUNS_SHOWN = 60;

interface ConversationPaneProps {
  conversation: Conversation;
  status: Status;
  onCreate: () => void;
}

/** One conversation: its runs, what is on its way, and the composer. */
export function ConversationPane({ conversation, status, onCreate }: ConversationPaneProps) {
  const talk = useStore(conversation);
  const { view, pending, stopping, refusal, notice } = talk;
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

  const retry = useCallback((id: string) => conversation.retry(id), [conversation]);
  const discard = useCallback((id: string) => conversation.discard(id), [conversation]);

  if (refusal) return <Unavailable reason={refusal.message} onCreate={onCreate} />;

  const active = activeRun(view);
  const isEmpty = view.runs.length === 0 && pending.length === 0;
  const isLoading = view.seq === 0 && !(status.state === "online" && status.caughtUp);
  const send = (text: string): boolean => {
    conversation.send(text);
    follow();
    return true;
  };

  return (
    <>
      <div className="scroller" ref={scroller} tabIndex={0} role="region" aria-label="Messages">
        <div className="column">
          {notice !== undefined && (
            <div className="banner" role="status">
              <p>{notice}</p>
              <button
                type="button"
                className="button icon-only"
                aria-label="Put away"
                onClick={() => conversation.dismiss()}
              >
                <CloseIcon />
              </button>
            </div>
          )}
          {isEmpty && isLoading && <p className="quiet loading">Loading the conversation…</p>}
          {isEmpty && !isLoading && (
            <Lesson thread={conversation.id} onAsk={status.state === "closed" ? undefined : send} />
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
              key={message.messageId}
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
          thread={conversation.id}
          status={status}
          awayHelp="What you send now goes out when the connection is back"
          onSend={send}
          onStop={active && (() => void conversation.stop(active.id))}
          isStopping={active !== undefined && stopping.has(active.id)}
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

/** Tells a screen reader how the newest run fares, without reading every word as it comes. */
function Announcer({ run }: { run: Run | undefined }) {
  return (
    <p className="unseen" role="status">
      {run && `${run.agent ?? "The agent"}: ${runWords(run)}`}
    </p>
  );
}
