import type { Client } from "@rethread/client";
import { useStatus } from "@rethread/client/react";
import { useCallback, useEffect, useRef, useState } from "react";

import type { Api } from "../api";
import { titleOf, useDesk } from "../desk";
import { ConversationPane } from "./ConversationPane";
import { MenuIcon } from "./icons";
import { Sidebar } from "./Sidebar";
import { StatusLine } from "./StatusLine";
import { Welcome } from "./Welcome";

/** The threads beside the conversation that the address names. */
export function Workspace({ client, api }: { client: Client; api: Api }) {
  const status = useStatus();
  const desk = useDesk(api);
  const { create: make, notice, trouble } = desk;
  const [selected, select] = useSelected();
  const [isDrawerOpen, setDrawerOpen] = useState(false);
  const main = useRef<HTMLElement>(null);
  const menu = useRef<HTMLButtonElement>(null);

  const closeDrawer = useCallback(() => {
    setDrawerOpen(false);
    menu.current?.focus();
  }, []);
  const pick = useCallback(
    (thread: string) => {
      select(thread);
      setDrawerOpen(false);
      main.current?.focus();
    },
    [select],
  );
  const create = useCallback(async () => {
    const thread = await make();
    if (thread === undefined) return;
    pick(thread);
    // On the next frame, when the new conversation's composer is there.
    requestAnimationFrame(() => document.getElementById("composer")?.focus());
  }, [make, pick]);
  const begin = useCallback(
    async (text: string): Promise<boolean> => {
      const thread = await make(text);
      if (thread === undefined) return false;
      // How it fares, the conversation shows.
      client.thread(thread).send(text).catch(() => {});
      pick(thread);
      return true;
    },
    [client, make, pick],
  );

  const title = selected === undefined ? "New conversation" : titleOf(desk, selected);
  useEffect(() => {
    document.title = selected === undefined ? "Rethread" : `${title} · Rethread`;
  }, [selected, title]);

  return (
    <div className="workspace" data-connected={status.state === "online"}>
      <button type="button" className="skip" onClick={() => main.current?.focus()}>
        Skip to the conversation
      </button>
      <Sidebar
        desk={desk}
        selected={selected}
        isOpen={isDrawerOpen}
        onSelect={pick}
        onCreate={create}
        onClose={closeDrawer}
      />
      <main className="main" ref={main} tabIndex={-1} aria-labelledby="title">
        <header className="top">
          <button
            ref={menu}
            type="button"
            className="button icon-only menu"
            aria-label="Show conversations"
            aria-expanded={isDrawerOpen}
            onClick={() => setDrawerOpen(true)}
          >
            <MenuIcon />
          </button>
          <h1 id="title" title={title}>
            {title}
          </h1>
          <StatusLine status={status} />
        </header>
        {trouble !== undefined && (
          <p className="banner bad" role="alert">
            {trouble}
          </p>
        )}
        {selected === undefined ? (
          <Welcome status={status} onBegin={begin} />
        ) : (
          <ConversationPane key={selected} id={selected} onCreate={create} onView={notice} />
        )}
      </main>
    </div>
  );
}

/** The thread that the address names after `#`, so that a reload returns to it. */
function useSelected(): [string | undefined, (thread: string) => void] {
  const [selected, setSelected] = useState(fromAddress);
  useEffect(() => {
    const follow = (): void => setSelected(fromAddress());
    window.addEventListener("hashchange", follow);
    return () => window.removeEventListener("hashchange", follow);
  }, []);
  const select = useCallback((thread: string) => {
    if (fromAddress() !== thread) location.hash = thread;
    setSelected(thread);
  }, []);
  return [selected, select];
}

function fromAddress(): string | undefined {
  const name = location.hash.slice(1);
  return name.startsWith("thread_") ? name : undefined;
}
