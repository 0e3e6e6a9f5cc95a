import type { RethreadEvent } from "@rethread/client";

/** A message that the log does not show yet. */
export interface Pending {
  /** Makes sending it again harmless, and tells it again in the log's `user_message`. */
  readonly messageId: string;
  readonly text: string;
  /** Why the server refused it; `undefined` while it is on its way. */
  readonly refusal: string | undefined;
  /** True when it would be refused again; it is not kept over a reload. */
  readonly isHopeless?: boolean | undefined;
}

/** Takes out what has arrived in the log. The same array where nothing has. */
export function settle(
  pending: readonly Pending[],
  events: readonly RethreadEvent[],
): readonly Pending[] {
  if (pending.length === 0) return pending;
  const arrived = new Set<string>();
  for (const event of events) {
    if (event.type === "user_message") arrived.add(event.data.message_id.toLowerCase());
  }
  const left = pending.filter((message) => !arrived.has(message.messageId));
  return left.length === pending.length ? pending : left;
}

/** A UUID (version 4). `crypto.randomUUID` exists on secure origins only; this works on a LAN too. */
export function uuid(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
