import type { Status } from "@rethread/client";
import { useEffect, useState } from "react";

import { statusWords, wordsChangeIn } from "../status";

/** Says in words what the connection does. */
export function StatusLine({ status }: { status: Status }) {
  const now = useNow(status);
  const { tone, text, detail } = statusWords(status, now);
  return (
    <p
      className="status"
      data-testid="status"
      data-state={status.state}
      data-tone={tone}
      role="status"
      aria-live="polite"
      title={detail}
    >
      <span className="status-dot" aria-hidden="true" />
      <span>{text}</span>
    </p>
  );
}

/** The time, anew whenever the status has other words for it. */
function useNow(status: Status): number {
  const [now, setNow] = useState(Date.now);
  const [seen, setSeen] = useState(status);
  if (seen !== status) {
    setSeen(status);
    setNow(Date.now());
  }
  useEffect(() => {
    const wait = wordsChangeIn(status, now);
    if (wait === undefined) return;
    const timer = setTimeout(() => setNow(Date.now()), wait);
    return () => clearTimeout(timer);
  }, [status, now]);
  return now;
}
