import type { Pending } from "./pending";

/*
 * What a tab keeps over a reload: drafts, unacknowledged messages, a pasted token. The conversations
 * themselves are the server's. Storage may be forbidden or full; the page then works without it.
 */

/** What was typed and not sent. */
export function draft(thread: string): string {
  return read(`rethread.draft.${thread}`) ?? "";
}

/** Keeps what was typed; an empty text forgets it. */
export function keepDraft(thread: string, text: string): void {
  write(`rethread.draft.${thread}`, text || undefined);
}

/** The messages that were on their way. */
export function pending(thread: string): Pending[] {
  const list: unknown = parse(read(`rethread.pending.${thread}`));
  if (!Array.isArray(list)) return [];
  return (list as Pending[]).map(({ messageId, text }) => ({ messageId, text, refusal: undefined }));
}

/** Keeps the messages that are on their way. */
export function keepPending(thread: string, list: readonly Pending[]): void {
  const texts = list.filter(({ isHopeless }) => !isHopeless).map(({ messageId, text }) => ({ messageId, text }));
  const value = texts.length > 0 ? JSON.stringify(texts) : undefined;
  write(`rethread.pending.${thread}`, value);
}

/** The token that was pasted into this tab. */
export function token(): string | undefined {
  return read("rethread.token");
}

/** Keeps the pasted token; `undefined` forgets it. */
export function keepToken(text: string | undefined): void {
  write("rethread.token", text);
}

function read(name: string): string | undefined {
  try {
    return sessionStorage.getItem(name) ?? undefined;
  } catch {
    return undefined;
  }
}

function write(name: string, value: string | undefined): void {
  try {
    if (value === undefined) sessionStorage.removeItem(name);
    else sessionStorage.setItem(name, value);
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
