import { memo, useState } from "react";

import type { Pending } from "../pending";
import type { Answer, Said } from "../view";
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
      data-message={said.messageId}
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
    <div className="answer" data-testid="message" data-role="agent" data-message={answer.messageId}>
      <Markdown text={answer.text} isLive={isLive} />
    </div>
  );
});

interface PendingMessageProps {
  message: Pending;
  /** What is being done about it. */
  words: string;
  onRetry: (messageId: string) => void;
  onDiscard: (messageId: string) => void;
}

/** A message that the log does not show yet. */
export const PendingMessage = memo(function PendingMessage({
  message, words, onRetry, onDiscard,
}: PendingMessageProps) {
  const { messageId, text, refusal } = message;
  return (
    <div className="run pending" data-state={refusal === undefined ? "sending" : "refused"}>
      <div
        className="said"
        role="group"
        aria-label="You said"
        data-testid="message"
        data-role="user"
        data-message={messageId}
      >
        <p>{text}</p>
      </div>
      {refusal === undefined ? (
        <p className="delivery">{words}</p>
      ) : (
        <p className="delivery refused" role="alert">
          not sent: {refusal}{" "}
          {!message.isHopeless && (
            <button type="button" className="link" onClick={() => onRetry(messageId)}>
              Send again
            </button>
          )}{" "}
          <button type="button" className="link" onClick={() => onDiscard(messageId)}>
            Discard
          </button>
        </p>
      )}
    </div>
  );
});

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
