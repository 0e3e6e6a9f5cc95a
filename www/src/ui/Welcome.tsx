import type { Status } from "@rethread/client";

import { Composer } from "./Composer";
import { ChevronIcon } from "./icons";
import { CopyButton } from "./Message";
import { Over } from "./Notices";

const QUESTIONS = [
  "What makes publishing an event again harmless?",
  "What does a client do when there is a hole?",
  "How do I publish an event with curl?",
];

interface WelcomeProps {
  status: Status;
  /** Makes a conversation that begins with this; false where it could not be made. */
  onBegin: (text: string) => Promise<boolean>;
}

/** Where no conversation is chosen: the first message makes one. */
export function Welcome({ status, onBegin }: WelcomeProps) {
  return (
    <>
      <div className="scroller">
        <div className="column">
          <Lesson thread={undefined} onAsk={status.state === "closed" ? undefined : (text) => void onBegin(text)} />
        </div>
      </div>
      <div className="dock">
        {status.state === "closed" && <Over reason={status.reason} />}
        <Composer
          thread="new"
          status={status}
          awayHelp="A new conversation begins once the connection is back"
          onSend={onBegin}
        />
      </div>
    </>
  );
}

interface LessonProps {
  thread: string | undefined;
  /** Asks one of the questions; absent where nothing can be asked. */
  onAsk: ((text: string) => void) | undefined;
}

/** What stands in an empty conversation: what to ask, and how an agent of one's own takes part. */
export function Lesson({ thread, onAsk }: LessonProps) {
  return (
    <div className="lesson">
      <h2>Ask this project's documents</h2>
      <p className="lesson-lead">
        An agent reads README.md, ARCHITECTURE.md and PROTOCOL.md for you and shows its work: what it
        thinks, each tool it uses, the answer as it is written. Reload or pull the plug in the middle
        of it: the answer goes on where it was.
      </p>
      <ul className="questions">
        {QUESTIONS.map((question) => (
          <li key={question}>
            <button type="button" disabled={!onAsk} onClick={() => onAsk?.(question)}>
              {question}
            </button>
          </li>
        ))}
      </ul>
      <details className="lesson-curl">
        <summary>
          <ChevronIcon />
          Or be the agent yourself, with curl
        </summary>
        <p>
          {thread
            ? "Paste this into a terminal; the answer appears here as it is published."
            : "Start a conversation first, and put its id from the address in place of thread_demo."}
        </p>
        <Snippet text={curl(thread ?? "thread_demo")} />
      </details>
    </div>
  );
}

function Snippet({ text }: { text: string }) {
  return (
    <div className="snippet-box">
      <pre className="snippet" tabIndex={0} aria-label="Shell commands">
        <code>{text}</code>
      </pre>
      <CopyButton text={text} label="Copy" />
    </div>
  );
}

/** Publishes a whole run. Outside dev mode TOKEN is for the reader to set. */
function curl(thread: string): string {
  return `URL=${location.origin}
TOKEN=$(curl -s $URL/v1/dev/token | sed 's/.*"token":"\\([^"]*\\)".*/\\1/')
AUTH="authorization: Bearer $TOKEN"
RUN=$(curl -s -X POST -H "$AUTH" $URL/v1/threads/${thread}/runs |
  sed 's/.*"run":"\\([^"]*\\)".*/\\1/')
curl -s -H "$AUTH" -H 'content-type: application/x-ndjson' $URL/v1/events --data-binary @- <<END
{"run":"$RUN","type":"agent_started","data":{"agent":"curl"}}
{"run":"$RUN","type":"agent_thinking","data":{"text":"Somebody is watching."}}
{"run":"$RUN","type":"message_delta","data":{"message_id":"m1","text":"Hello from **curl**."}}
{"run":"$RUN","type":"agent_completed","data":{}}
END`;
}
