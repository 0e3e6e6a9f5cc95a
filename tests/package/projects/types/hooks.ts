// Compiled, never run: the hooks, and the WebAssembly as a bundler imports it.
import { createElement } from "react";
import type { ReactElement } from "react";
import { connect } from "@rethread/client";
import type { MessageDeltaEvent, OutgoingCommand, RethreadEvent, Status, View } from "@rethread/client";
import fallbackWasm from "@rethread/client/fallback-wasm";
import { RethreadProvider, useEvents, useRethread, useStatus, useThread } from "@rethread/client/react";
import viewWasm from "@rethread/client/view-wasm";
import wasm from "@rethread/client/wasm";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_: Same<A, B>): void => {};

export function Chat({ id }: { id: string | undefined }): ReactElement {
  const { view, outbox, status, error, send, cancel, discard, thread } = useThread(id);
  same<typeof view, View>(true);
  same<typeof outbox, readonly OutgoingCommand[]>(true);
  same<ReturnType<typeof useStatus>, Status>(true);
  useEvents(id, (event) => same<typeof event, RethreadEvent>(true));
  useEvents(id, (event) => same<typeof event, MessageDeltaEvent>(true), "message_delta");
  const close = () => useRethread()?.close();
  const stop = (run: string) => cancel(run, thread?.id);
  const again = () => send("again", { agent: "a" }).then(({ seq }) => discard(`${seq}`));
  return createElement("p", { onClick: again, onDoubleClick: close }, status.state, error?.code, stop.name);
}

export function App(): ReactElement {
  const chat = createElement(Chat, { id: undefined });
  // @ts-expect-error without a client, a token is needed
  createElement(RethreadProvider, { url: "https://host" }, chat);
  return createElement(RethreadProvider, { url: "https://host", token: () => "jwt" }, chat);
}

export async function hosted(): Promise<void> {
  const client = await connect({ token: "jwt", wasm, viewWasm, fallbackWasm });
  createElement(RethreadProvider, { client });
}
