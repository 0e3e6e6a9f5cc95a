// Compiled, never run: what an application writes must compile, and what is wrong must not.
import { connect, RethreadError } from "@rethread/client";
import type { KnownEvent, RethreadEvent, Status, UnknownEvent } from "@rethread/client";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_: Same<A, B>): void => {};

export function text(event: RethreadEvent): string {
  switch (event.type) {
    case "agent_started":
      same<typeof event.data.message, string | undefined>(true);
      return event.data.agent;
    case "agent_thinking":
      return event.data.text;
    case "tool_executing":
      same<typeof event.data.input, unknown>(true);
      return event.data.tool;
    case "tool_completed":
      same<typeof event.data.took_ms, number | undefined>(true);
      return event.data.error ?? event.data.call_id;
    case "agent_completed":
      return JSON.stringify([event.data.result, event.data.usage]);
    case "message_delta":
      return event.data.message_id + event.data.text;
    case "agent_failed":
      return event.data.code + event.data.message;
    case "agent_cancelled":
      return event.data.by;
    case "user_message":
      same<typeof event.data.by, string | undefined>(true);
      return event.data.text;
    case "custom":
      same<typeof event.data.value, unknown>(true);
      return event.data.name;
    default:
      same<typeof event, UnknownEvent>(true);
      return `${event.type} ${JSON.stringify(event.data)}`;
  }
}

export function narrowedByIf(event: RethreadEvent): number {
  if (event.type === "message_delta") return event.data.text.length;
  // @ts-expect-error an event that is not narrowed has no text
  event.data.text;
  if ((event.type as string) === "weather_changed") return event.seq;
  return event.at;
}

export function everyState(status: Status): string {
  switch (status.state) {
    case "connecting":
      return `try ${status.attempt}`;
    case "online":
      return status.caughtUp ? `${status.replayed} replayed` : "catching up";
    case "waiting":
      return `again in ${status.retryAt - Date.now()} ms: ${status.reason}`;
    case "offline":
      return "offline";
    case "closed":
      return `${status.code}: ${status.reason}`;
    default:
      return status satisfies never;
  }
}

export async function use(): Promise<void> {
  const client = await connect({ url: new URL("https://host"), token: async () => "jwt" });
  const off: () => void = client.on("status", (status) => everyState(status));
  const thread = client.thread("thread_x", { after: { epoch: "9f3a12bc", seq: 42 } });
  thread.on("message_delta", (event) => event.data.text.length);
  thread.on("*", (event) => same<typeof event, RethreadEvent>(true));
  thread.on("reset", (reset) => reset.epoch);
  thread.on("error", (error) => error.code === "thread_not_found");
  thread.on("weather_changed", (event) => same<typeof event, UnknownEvent>(true));
  // @ts-expect-error a handler of a known type gets that type's event
  thread.on("message_delta", (event: UnknownEvent) => event);
  thread.onBatch((events, info) => `${events.length} from ${info.first} to ${info.last}`);
  for await (const event of thread.events()) same<typeof event, RethreadEvent>(true);
  try {
    const { run, seq, messageId } = await thread.send("hello", { agent: "docs" });
    await thread.cancel(run, `${seq} ${messageId}`);
  } catch (error) {
    if (error instanceof RethreadError && error.code === "outbox_full") return;
    throw error;
  }
  // @ts-expect-error a token is needed
  await connect({ url: "https://host" });
  // @ts-expect-error read only
  client.status = { state: "offline" };
  off();
  thread.close();
  client.close();
}

// @ts-expect-error the data of a known type is checked
export const bad: KnownEvent = { seq: 1, id: "", run: "", at: 1, type: "agent_started", data: {} };
