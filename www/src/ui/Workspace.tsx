import { useCallback, useEffect, useMemo, useRef, useState } from "react";

import { Conversation } from "../conversation";
import type { Desk } from "../desk";
import { useStore } from "../store";
import { ConversationPane } from "./ConversationPane";
import { MenuIcon } from "./icons";
import { Unavailable } from "./Notices";
import { Sidebar } from "./Sidebar";
import { StatusLine } from "./StatusLine";
import { Welcome } from "./Welcome";

/** The threads beside the conversation that the address names. */
export function Workspace({ desk }: { desk: Desk }) {
  const { status, trouble } = useStore(desk);
  const [selected, select] = useSelected();
  const [isDrawerOpen, setDrawerOpen] = useState(false);
  const main = useRef<HTMLElement>(null);
  const menu = useRef<HTMLButtonElement>(null);

  const opened = useMemo(() => {
    try {
      return selected === undefined ? undefined : desk.conversation(selected);
    } catch (error) {
      return error as Error;
    }
  }, [desk, selected]);

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
    const thread = await desk.create();
    if (thread === undefined) return;
    pick(thread);
    // On the next frame, when the new conversation's composer is there.
    requestAnimationFrame(() => document.getElementById("composer")?.focus());
  }, [desk, pick]);
  const begin = useCallback(
    async (text: string): Promise<boolean> => {
      const thread = await desk.create(text);
      if (thread === undefined) return false;
      desk.conversation(thread).send(text);
      pick(thread);
      return true;
    },
    [desk, pick],
  );

  const title = selected === undefined ? "New conversation" : desk.titleOf(selected);
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
        {opened === undefined ? (
          <Welcome status={status} onBegin={begin} />
        ) : opened instanceof Conversation ? (
          <ConversationPane key={opened.id} conversation={opened} status={status} onCreate={create} />
        ) : (
          <Unavailable reason={opened.message} onCreate={create} />
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
