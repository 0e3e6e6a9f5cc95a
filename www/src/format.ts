/** Characters of a tool's input or output that are shown at first. More would stall the page. */
export const SHOWN_CHARS = 4_000;
/** Characters of a tool's input, or of a thought, that stand on one line for the whole. */
const GIST_CHARS = 90;
/** Characters of a title. */
const TITLE_CHARS = 80;

/** A duration, as short as it is clear: `0 ms`, `412 ms`, `3.2 s`, `2 min 5 s`. */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** Any JSON for reading: texts as they are, the rest indented. */
export function pretty(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value, null, 2) ?? "");
}

/** Any JSON in one short line: `query: "epoch", limit: 5`. */
export function gist(value: unknown): string {
  if (value === undefined || value === null) return "";
  const text =
    typeof value === "object" && !Array.isArray(value)
      ? Object.entries(value).map(([name, member]) => `${name}: ${line(member)}`).join(", ")
      : line(value);
  return cut(text, GIST_CHARS);
}

/** The beginning of a text in one line. */
export function firstLine(text: string): string {
  return cut(text.trimStart().split("\n", 1)[0]!, GIST_CHARS);
}

/** A conversation's title, from its first message. */
export function title(text: string): string {
  return cut(text.trim().replace(/\s+/g, " "), TITLE_CHARS);
}

/** How long ago something was: `now`, `5 min`, `3 h`, `2 d`, or a date. */
export function ago(at: number, now: number): string {
  const minutes = Math.floor((now - at) / 60_000);
  if (minutes < 1) return "now";
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h`;
  if (minutes < 7 * 24 * 60) return `${Math.floor(minutes / (24 * 60))} d`;
  return new Date(at).toLocaleDateString(undefined, { day: "numeric", month: "short" });
}

function line(value: unknown): string {
  const text = JSON.stringify(typeof value === "string" ? value.slice(0, GIST_CHARS) : value) ?? "";
  return text.slice(0, GIST_CHARS + 2);
}

function cut(text: string, chars: number): string {
  const points = [...text.slice(0, 4 * chars)];
  return points.length > chars ? `${points.slice(0, chars - 1).join("").trimEnd()}…` : text;
}
