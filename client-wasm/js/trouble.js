/** However long a server, or what stands before it, wants to be left alone: it is asked again then. */
const REST_MS_MAX = 5 * 60_000;

/**
 * What an HTTP answer says that is not what was asked for: the reason, for a person, and how long to
 * leave the server alone, milliseconds. No reason for an answer of the server's that says that it is well.
 */
export async function troubleOf(answer) {
  const { status, headers, type } = answer;
  const kind = headers.get("content-type") ?? "";
  if (type === "opaqueredirect" || (answer.ok && kind.startsWith("text/html"))) {
    const reason = "something answers in the server's place, perhaps a page to log in to this network";
    return { reason, retryAfterMs: 0 };
  }
  if (answer.ok) return { retryAfterMs: 0 };
  const { message, retry_after_ms = after(headers.get("retry-after")) } = await errorOf(answer, kind);
  return {
    reason: message ?? `the server, or something before it, answers with ${status}`,
    retryAfterMs: Math.min(retry_after_ms, REST_MS_MAX),
  };
}

/** The error of an answer of the server's own; nothing in another's. */
async function errorOf(answer, kind) {
  try {
    return (kind.startsWith("application/json") && (await answer.json()).error) || {};
  } catch {
    return {};
  }
}

/** What `Retry-After` says, a number of seconds or a date, in milliseconds; 0 where it says nothing. */
function after(text) {
  const seconds = Number(text ?? 0);
  const ms = Number.isNaN(seconds) ? Date.parse(text) - Date.now() : seconds * 1000;
  return ms > 0 ? ms : 0;
}
