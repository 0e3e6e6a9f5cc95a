/*
 * What a tab keeps over a reload: drafts, a pasted token, who it was. Events and messages on their way
 * are kept by the package. Storage may be forbidden or full; the page then works without it.
 */

/** What was typed and not sent. */
export function draft(thread: string): string {
  return read(`draft.${thread}`) ?? "";
}

/** Keeps what was typed; an empty text forgets it. */
export function keepDraft(thread: string, text: string): void {
  write(`draft.${thread}`, text || undefined);
}

/** The token that was pasted into this tab. */
export function token(): string | undefined {
  return read("token");
}

/** Keeps the pasted token. */
export function keepToken(text: string): void {
  write("token", text);
}

/** Who this tab was signed in as: what was kept for them may be shown before the server has answered. */
export function user(): string | undefined {
  return read("user");
}

/** Keeps who it is; `undefined` forgets it. */
export function keepUser(user: string | undefined): void {
  write("user", user);
}

function read(name: string): string | undefined {
  try {
    return sessionStorage.getItem(`rethread.${name}`) ?? undefined;
  } catch {
    return undefined;
  }
}

function write(name: string, value: string | undefined): void {
  try {
    if (value === undefined) sessionStorage.removeItem(`rethread.${name}`);
    else sessionStorage.setItem(`rethread.${name}`, value);
  } catch {
    // Works without.
  }
}
