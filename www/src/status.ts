import type { Status } from "@rethread/client";

/** What the connection does, for a person. */
export interface StatusWords {
  /** How it looks: at work, busy getting there, or over. */
  readonly tone: "good" | "busy" | "bad";
  readonly text: string;
  /** More about it, where there is more. */
  readonly detail?: string;
}

/** Puts a status into words; `now` is in milliseconds since 1970. */
export function statusWords(status: Status, now: number): StatusWords {
  switch (status.state) {
    case "connecting":
      return { tone: "busy", text: status.attempt > 1 ? `connecting, try ${status.attempt}` : "connecting" };
    case "online":
      if (!status.caughtUp) {
        return { tone: "busy", text: `connected, catching up: ${events(status.replayed)} so far` };
      }
      return status.replayed > 0
        ? { tone: "good", text: `connected: caught up, ${events(status.replayed)} replayed` }
        : { tone: "good", text: "connected" };
    case "waiting": {
      const seconds = Math.ceil((status.retryAt - now) / 1000);
      const text = seconds > 0 ? `reconnecting in ${seconds} s` : "reconnecting";
      return { tone: "busy", text, detail: `try ${status.attempt}; ${status.reason}` };
    }
    case "offline":
      return { tone: "bad", text: "offline: goes on when the network is back" };
    case "closed":
      return status.code === "closed"
        ? { tone: "bad", text: "closed" }
        : { tone: "bad", text: `access ended: ${status.reason}` };
  }
}

/** Milliseconds until the words of a status change by themselves; `undefined` if they do not. */
export function wordsChangeIn(status: Status, now: number): number | undefined {
  if (status.state !== "waiting" || status.retryAt <= now) return undefined;
  const left = status.retryAt - now;
  return left - (Math.ceil(left / 1000) - 1) * 1000;
}

function events(count: number): string {
  return count === 1 ? "1 event" : `${count.toLocaleString("en")} events`;
}
