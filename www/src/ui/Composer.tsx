import type { Status } from "@rethread/client";
import { useEffect, useLayoutEffect, useRef, useState } from "react";

import * as saved from "../saved";
import { SendIcon, StopIcon } from "./icons";

interface ComposerProps {
  /** What the draft is kept under. */
  thread: string;
  status: Status;
  /** What becomes of a message while there is no connection. */
  awayHelp: string;
  /** Takes the text; false keeps it in the composer. */
  onSend: (text: string) => boolean | Promise<boolean>;
  /** Stops the run that is on, where one is. */
  onStop?: (() => void) | undefined;
  isStopping?: boolean;
}

/** Where messages are written. Enter sends, Shift+Enter makes a new line. */
export function Composer(props: ComposerProps) {
  const { thread, status, awayHelp, onSend, onStop, isStopping = false } = props;
  const [text, setText] = useState(() => saved.draft(thread));
  const [isSending, setSending] = useState(false);
  const area = useRef<HTMLTextAreaElement>(null);
  const isOver = status.state === "closed";

  useEffect(() => saved.keepDraft(thread, text), [thread, text]);
  useLayoutEffect(() => {
    const { style, scrollHeight } = resetHeight(area.current!);
    style.height = `${scrollHeight}px`;
  }, [text]);
  useEffect(() => {
    // A phone would open its keyboard over the conversation.
    if (window.matchMedia("(pointer: fine)").matches) area.current?.focus();
  }, []);

  const send = async (): Promise<void> => {
    if (isOver || isSending || text.trim() === "") return;
    setSending(true);
    setText("");
    if (!(await onSend(text.trim()))) setText(text);
    setSending(false);
    area.current?.focus();
  };

  return (
    <form
      className="composer"
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      <div className="composer-box">
        <label className="unseen" htmlFor="composer">
          Message
        </label>
        <textarea
          ref={area}
          id="composer"
          data-testid="composer"
          rows={1}
          value={text}
          disabled={isOver}
          placeholder={isOver ? "Nothing can be sent here" : "Ask a question"}
          aria-describedby="composer-help"
          enterKeyHint="send"
          onChange={(event) => setText(event.target.value)}
          onKeyDown={(event) => {
            if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
            event.preventDefault();
            void send();
          }}
        />
        {onStop && (
          <button
            type="button"
            className="button stop"
            data-testid="stop"
            disabled={isStopping}
            onClick={onStop}
          >
            <StopIcon /> {isStopping ? "Stopping" : "Stop"}
          </button>
        )}
        <button
          type="submit"
          className="button primary icon-only send"
          data-testid="send"
          aria-label="Send"
          disabled={isOver || isSending || text.trim() === ""}
        >
          <SendIcon />
        </button>
      </div>
      <p className="composer-help" id="composer-help">
        {status.state === "online" || isOver
          ? "Enter sends, Shift+Enter makes a new line"
          : awayHelp}
      </p>
    </form>
  );
}

function resetHeight(area: HTMLTextAreaElement): HTMLTextAreaElement {
  area.style.height = "auto";
  return area;
}
