import { createElement as h, memo, StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import { RethreadProvider, useEvents, useThread } from "@rethread/client/react";

const { url, token, threads } = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
window.events = {};
window.renders = {};
window.shownEmpty = false;

const Part = memo(function Part({ run, part }) {
  const key = `${run} ${part.seq}`;
  window.renders[key] = (window.renders[key] ?? 0) + 1;
  return h("p", { "data-run": run }, `${part.kind}: ${part.text ?? part.name}`);
});

function Chat({ id }) {
  const { view, isLoading, outbox, status, error, send } = useThread(id);
  window.send = send;
  if (view.seq === 0 && !isLoading) window.shownEmpty = true;
  useEvents(id, ({ seq }) => (window.events[id] ??= []).push(seq));
  return h(
    "main",
    { "data-thread": id, "data-state": status.state, "data-error": error?.code, "data-loading": isLoading },
    view.runs.flatMap((run) => run.parts.map((part) => h(Part, { key: part.seq, run: run.id, part }))),
    outbox.map(({ id, text, state }) => h("i", { key: id }, `${state}: ${text}`)),
  );
}

function App() {
  const [id, setId] = useState(threads.split(",")[0]);
  const [isShown, show] = useState(true);
  Object.assign(window, { setId, show });
  return isShown && h(Chat, { id });
}

createRoot(document.getElementById("root")).render(
  h(StrictMode, null, h(RethreadProvider, { url, token: () => token }, h(App))),
);
