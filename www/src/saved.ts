import type { Pending } from "./pending";

/**
 * What survives a reload: drafts and unacknowledged messages for this tab, titles for this browser.
 * The conversations themselves are the server's. Storage may be forbidden or full; the page then
 * works without it.
 */
const TITLES_MAX = 300;

/** What was typed and not sent. */
export function draft(thread: string): string {
  return read(sessionStorage, `rethread.draft.${thread}`) ?? "";
}

/** Keeps what was typed; an empty text forgets it. */
export function keepDraft(thread: string, text: string): void {
  write(sessionStorage, `rethread.draft.${thread}`, text || undefined);
}

/** The messages that were on their way. */
export function pending(thread: string): Pending[] {
  const list: unknown = parse(read(sessionStorage, `rethread.pending.${thread}`));
  if (!Array.isArray(list)) return [];
  return (list as Pending[]).map(({ messageId, text }) => ({ messageId, text, refusal: undefined }));
}

/** Keeps the messages that are on their way. */
export function keepPending(thread: string, list: readonly Pending[]): void {
  const texts = list.map(({ messageId, text }) => ({ messageId, text }));
  const value = texts.length > 0 ? JSON.stringify(texts) : undefined;
  write(sessionStorage, `rethread.pending.${thread}`, value);
}

/** The titles that this browser has learned, by thread. */
export function titles(): Map<string, string> {
  const list: unknown = parse(read(localStorage, "rethread.titles"));
  return new Map(Array.isArray(list) ? (list as [string, string][]) : []);
}

/** Keeps the newest titles. */
export function keepTitles(map: ReadonlyMap<string, string>): void {
  write(localStorage, "rethread.titles", JSON.stringify([...map].slice(-TITLES_MAX)));
}

/** The token that was pasted into this tab. */
export function token(): string | undefined {
  return read(sessionStorage, "rethread.token");
}

/** Keeps the pasted token; `undefined` forgets it. */
export function keepToken(text: string | undefined): void {
  write(sessionStorage, "rethread.token", text);
}

function read(storage: Storage, name: string): string | undefined {
  try {
    return storage.getItem(name) ?? undefined;
  } catch {
    return undefined;
  }
}

function write(storage: Storage, name: string, value: string | undefined): void {
  try {
    if (value === undefined) storage.removeItem(name);
    else storage.setItem(name, value);
  } catch {
    // Works without.
  }
}

function parse(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}
