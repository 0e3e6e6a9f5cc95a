import type { Extra, Thinking, ToolCall } from "@rethread/client";
import { memo, useMemo, useState } from "react";

import { duration, firstLine, gist, pretty, SHOWN_CHARS } from "../format";
import { CheckIcon, ChevronIcon, CrossIcon, DashIcon } from "./icons";

interface ThinkingProps {
  thinking: Thinking;
  /** True while it may still grow. */
  isLive: boolean;
}

/** What an agent thinks: open while it is thought, folded afterwards, as the reader likes. */
export const ThinkingBlock = memo(function ThinkingBlock({ thinking, isLive }: ThinkingProps) {
  const [choice, setChoice] = useState<boolean>();
  const isOpen = choice ?? isLive;
  const took = thinking.until - thinking.from;
  return (
    <details className="thinking" data-testid="thinking" data-live={isLive} open={isOpen}>
      <summary
        onClick={(event) => {
          event.preventDefault();
          setChoice(!isOpen);
        }}
      >
        <ChevronIcon />
        <span>{isLive ? "Thinking" : took >= 1000 ? `Thought for ${duration(took)}` : "Thoughts"}</span>
        {!isOpen && <span className="thinking-gist">{firstLine(thinking.text)}</span>}
      </summary>
      <p>{thinking.text}</p>
    </details>
  );
});

/** A call of a tool, with its input and output. */
export const ToolCard = memo(function ToolCard({ call }: { call: ToolCall }) {
  return (
    <details className="tool" data-testid="tool-card" data-state={call.state} data-tool={call.tool}>
      <summary>
        <ToolMark state={call.state} />
        <span className="tool-name">{call.tool}</span>
        <span className="tool-gist">{gist(call.input)}</span>
        <span className="tool-state">
          {STATE_WORDS[call.state]}
          {call.took_ms !== undefined && <span className="tool-took">{duration(call.took_ms)}</span>}
        </span>
        <ChevronIcon />
      </summary>
      <div className="tool-body">
        {"input" in call && <Value label="Input" value={call.input} />}
        {"output" in call && <Value label="Output" value={call.output} />}
        {call.error !== undefined && <Value label="Error" value={call.error} isBad />}
        {call.state === "completed" && !("output" in call) && <p className="quiet">It gave no output.</p>}
        {call.state === "executing" && <p className="quiet">Its output appears here when it is done.</p>}
        {call.state === "abandoned" && <p className="quiet">The run ended before the tool did.</p>}
      </div>
    </details>
  );
});

/** An event that the page has no form for, shown as it is. */
export const ExtraCard = memo(function ExtraCard({ extra }: { extra: Extra }) {
  return (
    <details className="tool extra" data-testid="extra-card">
      <summary>
        <DashIcon />
        <span className="tool-name">{extra.name}</span>
        <span className="tool-gist">{gist(extra.value)}</span>
        <ChevronIcon />
      </summary>
      <div className="tool-body">
        <Value label="Value" value={extra.value} />
      </div>
    </details>
  );
});

const STATE_WORDS: Record<ToolCall["state"], string> = {
  executing: "running",
  completed: "done",
  failed: "failed",
  abandoned: "not finished",
};

function ToolMark({ state }: { state: ToolCall["state"] }) {
  switch (state) {
    case "executing":
      return <span className="spinner" aria-hidden="true" />;
    case "completed":
      return <CheckIcon />;
    case "failed":
      return <CrossIcon />;
    case "abandoned":
      return <DashIcon />;
  }
}

/** Any JSON, bounded: at first in characters, always in height. */
function Value({ label, value, isBad = false }: { label: string; value: unknown; isBad?: boolean }) {
  const text = useMemo(() => pretty(value), [value]);
  const [isWhole, setWhole] = useState(false);
  const isCut = !isWhole && text.length > SHOWN_CHARS;
  return (
    <div className="value" data-bad={isBad}>
      <p className="value-label">{label}</p>
      <pre tabIndex={0} aria-label={label}>
        {isCut ? `${text.slice(0, SHOWN_CHARS)}…` : text}
      </pre>
      {isCut && (
        <button type="button" className="link" onClick={() => setWhole(true)}>
          Show all {text.length.toLocaleString("en")} characters
        </button>
      )}
    </div>
  );
}
