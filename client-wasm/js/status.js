// What is said to people about a connection, and when nothing better came from the server.

const LOST = {
  failed: "the connection broke, or could not be made",
  timed_out: "the server did not answer in time",
  silent: "the server fell silent",
  closed: "the server closed the connection",
  goodbye: "the server asks for a pause",
  token_refused: "the server asks for a new token",
  unreadable: "the server sent what is unreadable",
};

/** A status as index.d.ts has it, from what the driver tells. */
export function statusOf(state, failed, waitMs, why) {
  switch (state) {
    case "connecting":
      return { state, attempt: failed + 1 };
    case "waiting":
      return { state, attempt: failed + 1, retryAt: Date.now() + waitMs, reason: LOST[why] };
    case "closed":
      return { state, code: why.code, reason: why.message };
    default:
      return { state };
  }
}
