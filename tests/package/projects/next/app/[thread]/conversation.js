"use client";

import { useState } from "react";
import { RethreadProvider, useEvents, useThread } from "@rethread/client/react";

export function Conversation({ url, thread }) {
  return (
    <RethreadProvider url={url} token={bringToken}>
      <Chat id={thread} />
    </RethreadProvider>
  );
}

const bringToken = async () => (await fetch("/token")).text();

function Chat({ id }) {
  const { view, status } = useThread(id);
  const [seqs, setSeqs] = useState([]);
  useEvents(id, ({ seq }) => setSeqs((before) => [...before, seq]));
  const parts = view.runs.flatMap((run) => run.parts);
  const answers = parts.filter(({ kind }) => kind === "answer");
  return (
    <main>
      <p id="status">{`${status.state} ${status.transport ?? ""}`.trim()}</p>
      <p id="seqs">{seqs.join(" ")}</p>
      <p id="answer">{answers.map(({ text }) => text).join("\n")}</p>
    </main>
  );
}
