import type { Part, Run } from "@rethread/client";
import { Component, memo, type ReactNode } from "react";

import { duration } from "../format";
import { AnswerMessage, CopyButton, SaidMessage } from "./Message";
import { ExtraCard, ThinkingBlock, ToolCard } from "./Steps";

/** One run. One that cannot be drawn is shown as plain text, and the page stays. */
export class RunBlock extends Component<{ run: Run }, { isBroken: boolean }> {
  override state = { isBroken: false };

  static getDerivedStateFromError(): { isBroken: boolean } {
    return { isBroken: true };
  }

  override render(): ReactNode {
    return this.state.isBroken ? <Undrawn run={this.props.run} /> : <Drawn run={this.props.run} />;
  }
}

/** What was asked, what the agent did, how it ended. */
const Drawn = memo(function Drawn({ run }: { run: Run }) {
  const asked = run.parts.findIndex((part) => part.kind !== "said");
  const opening = asked === -1 ? run.parts : run.parts.slice(0, asked);
  const work = asked === -1 ? [] : run.parts.slice(asked);
  const last = work.at(-1);
  return (
    <section
      className="run"
      data-testid="run"
      data-state={run.state}
      data-run={run.id}
      aria-label={`${run.agent ?? "Agent"}: ${runWords(run)}`}
    >
      {opening.map((part) => (
        <Step key={part.seq} part={part} isLive={false} />
      ))}
      <div className="agent">
        <p className="agent-head">
          <span className="knot" aria-hidden="true" />
          {run.agent !== undefined && <b>{run.agent}</b>} <span className="agent-words">{runWords(run)}</span>
        </p>
        {run.state === "asked" && (
          <p className="quiet patience">
            Nobody has taken it on yet. The question is safe in the log and is handed over as soon as
            an agent comes.
          </p>
        )}
        {work.map((part) => (
          <Step key={part.seq} part={part} isLive={run.state === "running" && part === last} />
        ))}
        <Ending run={run} />
      </div>
    </section>
  );
});

/** The texts of a run that could not be drawn. */
function Undrawn({ run }: { run: Run }) {
  const texts = run.parts.flatMap((part) => ("text" in part ? [part.text] : []));
  return (
    <section className="run" data-testid="run" data-state={run.state} data-run={run.id}>
      <p className="ending bad">This part of the conversation could not be drawn. Its text:</p>
      <pre className="plain">{texts.join("\n\n")}</pre>
    </section>
  );
}

/** True while a run may still go on. */
export function isActive({ state }: Run): boolean {
  return state === "asked" || state === "running";
}

/** How a run fares, in words. */
export function runWords(run: Run): string {
  const took =
    run.started_at !== undefined && run.ended_at !== undefined && run.ended_at >= run.started_at
      ? ` after ${duration(run.ended_at - run.started_at)}`
      : "";
  switch (run.state) {
    case "asked":
      return "waiting for an agent";
    case "running":
      return run.agent === undefined ? "working" : "is working";
    case "completed":
      return took === "" ? "done" : `done${took}`;
    case "failed":
      return isLost(run) ? "lost" : `failed${took}`;
    case "cancelled":
      return `stopped${took}`;
  }
}

function Step({ part, isLive }: { part: Part; isLive: boolean }) {
  switch (part.kind) {
    case "said":
      return <SaidMessage said={part} />;
    case "note":
      return <p className="note">{part.text}</p>;
    case "thinking":
      return <ThinkingBlock thinking={part} isLive={isLive} />;
    case "tool":
      return <ToolCard call={part} />;
    case "answer":
      return <AnswerMessage answer={part} isLive={isLive} />;
    case "extra":
      return <ExtraCard extra={part} />;
  }
}

function Ending({ run }: { run: Run }) {
  const answer = run.parts.flatMap((part) => (part.kind === "answer" ? [part.text] : [])).join("\n\n");
  const { ending } = run;
  if (isActive(run)) return null;
  return (
    <>
      {ending?.kind === "failed" && (
        <p className="ending bad">
          {isLost(run) ? (
            <>The agent went away and did not come back. Ask again to start over.</>
          ) : (
            <>
              {ending.message} <code>{ending.code}</code>
            </>
          )}
        </p>
      )}
      {ending?.kind === "cancelled" && (
        <p className="ending">
          Stopped by {ending.by}
          {ending.reason ? `: ${ending.reason}` : ""}.
        </p>
      )}
      {run.state === "completed" && answer === "" && (
        <p className="ending">The agent finished without an answer.</p>
      )}
      {answer !== "" && (
        <div className="run-actions">
          <CopyButton text={answer} label="Copy answer" />
        </div>
      )}
    </>
  );
}

function isLost({ ending }: Run): boolean {
  return ending?.kind === "failed" && ending.code === "agent_lost";
}
