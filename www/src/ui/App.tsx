import { RethreadProvider, useRethread, useStatus } from "@rethread/client/react";
import { useCallback, useEffect, useState } from "react";

import type { Api } from "../api";
import * as saved from "../saved";
import { start, type Started } from "../start";
import { Mark } from "./icons";
import { Workspace } from "./Workspace";

/** The whole page: comes up, asks for a token where there is none, then shows the conversations. */
export function App({ first }: { first: Promise<Started> }) {
  const [starting, setStarting] = useState(first);
  const [started, setStarted] = useState<Started>();
  useEffect(() => {
    let isCurrent = true;
    setStarted(undefined);
    void starting.then((value) => isCurrent && setStarted(value));
    return () => {
      isCurrent = false;
    };
  }, [starting]);
  const begin = useCallback(() => setStarting(start()), []);

  if (!started) return <Gate>{<p role="status">Opening…</p>}</Gate>;
  switch (started.kind) {
    case "ready":
      return (
        <RethreadProvider token={started.token} user={started.user}>
          <Opened api={started.api} onRetry={begin} />
        </RethreadProvider>
      );
    case "token":
      return (
        <Gate>
          <TokenForm refusal={started.refusal} onToken={begin} />
        </Gate>
      );
    case "failed":
      return <Failed reason={started.reason} onRetry={begin} />;
  }
}

function Opened({ api, onRetry }: { api: Api; onRetry: () => void }) {
  const client = useRethread();
  const status = useStatus();
  if (client) return <Workspace client={client} api={api} />;
  // The package cannot run here.
  if (status.state === "closed") return <Failed reason={status.reason} onRetry={onRetry} />;
  return <Gate>{<p role="status">Opening…</p>}</Gate>;
}

function Failed({ reason, onRetry }: { reason: string; onRetry: () => void }) {
  return (
    <Gate>
      <p role="alert">The page could not reach its server: {reason}</p>
      <button type="button" className="button primary" onClick={onRetry}>
        Try again
      </button>
    </Gate>
  );
}

function Gate({ children }: { children: React.ReactNode }) {
  return (
    <main className="gate">
      <div className="gate-card">
        <p className="brand">
          <Mark /> Rethread
        </p>
        {children}
      </div>
    </main>
  );
}

function TokenForm({ refusal, onToken }: { refusal: string | undefined; onToken: () => void }) {
  const [text, setText] = useState("");
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        saved.keepToken(text.trim());
        onToken();
      }}
    >
      <h1>Sign in with a token</h1>
      <p id="token-help">
        This server is not in dev mode, so it has to know who you are. Whoever runs it makes a token
        with:
      </p>
      <pre className="snippet" tabIndex={0}>
        <code>rethread token --user you --scope subscribe,send</code>
      </pre>
      <label htmlFor="token">Token</label>
      <textarea
        id="token"
        data-testid="token"
        rows={4}
        spellCheck={false}
        autoComplete="off"
        autoFocus
        value={text}
        onChange={(event) => setText(event.target.value)}
        aria-describedby="token-help"
        aria-invalid={refusal !== undefined}
      />
      {refusal !== undefined && (
        <p className="refusal" role="alert">
          The server refused the token: {refusal}
        </p>
      )}
      <p className="quiet">It stays in this tab and is forgotten when you close it.</p>
      <button type="submit" className="button primary" disabled={text.trim() === ""}>
        Continue
      </button>
    </form>
  );
}
