import type { Answer, OutgoingMessage, Said } from "@rethread/client";
import { memo, useState } from "react";

import { CheckIcon, CopyIcon } from "./icons";
import { Markdown } from "./Markdown";

/** What a person said, from the log. */
export const SaidMessage = memo(function SaidMessage({ said }: { said: Said }) {
  return (
    <div
      className="said"
      role="group"
      aria-label={`${said.by ?? "Somebody"} said`}
      data-testid="message"
      data-role="user"
      data-message={said.message_id}
    >
      <p>{said.text}</p>
    </div>
  );
});

interface AnswerProps {
  answer: Answer;
  /** True while it may still grow. */
  isLive: boolean;
}

/** A piece of an agent's answer. */
export const AnswerMessage = memo(function AnswerMessage({ answer, isLive }: AnswerProps) {
  return (
    <div className="answer" data-testid="message" data-role="agent" data-message={answer.message_id}>
      <Markdown text={answer.text} isLive={isLive} />
    </div>
  );
});

interface PendingMessageProps {
  message: OutgoingMessage;
  /** What is being done about it. */
  words: string;
  onRetry: (message: OutgoingMessage) => void;
  onDiscard: (id: string) => void;
}

/** A message that the log does not show yet. */
export const PendingMessage = memo(function PendingMessage({
  message, words, onRetry, onDiscard,
}: PendingMessageProps) {
  const { id, text, error } = message;
  // It would be refused again.
  const isTooLong = error?.code === "event_too_large";
  return (
    <div className="run pending" data-state={error ? "refused" : "sending"}>
      <div
        className="said"
        role="group"
        aria-label="You said"
        data-testid="message"
        data-role="user"
        data-message={id}
      >
        <p>{text}</p>
      </div>
      {!error ? (
        <p className="delivery">{words}</p>
      ) : (
        <p className="delivery refused" role="alert">
          not sent: {isTooLong ? TOO_LONG : error.message}{" "}
          {!isTooLong && (
            <button type="button" className="link" onClick={() => onRetry(message)}>
              Send again
            </button>
          )}{" "}
          <button type="button" className="link" onClick={() => onDiscard(id)}>
            Discard
          </button>
        </p>
      )}
    </div>
  );
});

const TOO_LONG = "it is longer than a message may be (64 KiB). Send it in parts, or as a link.";

/** Copies a text; says so for a moment. */
export function CopyButton({ text, label }: { text: string; label: string }) {
  const [isCopied, setCopied] = useState(false);
  // Not there on an insecure origin.
  if (!("clipboard" in navigator)) return null;
  return (
    <button
      type="button"
      className="button small"
      onClick={() => {
        void navigator.clipboard.writeText(text).then(() => setCopied(true), () => setCopied(false));
      }}
      onBlur={() => setCopied(false)}
      onPointerLeave={() => setCopied(false)}
    >
      {isCopied ? <CheckIcon /> : <CopyIcon />}
      {isCopied ? "Copied" : label}
    </button>
  );
}
