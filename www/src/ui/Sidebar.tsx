import { memo, useEffect, useRef, useSyncExternalStore } from "react";

import { type Desk, titleOf } from "../desk";
import { ago } from "../format";
import { CloseIcon, Mark, PlusIcon } from "./icons";

interface SidebarProps {
  desk: Desk;
  selected: string | undefined;
  /** Counts where it is a drawer, on a narrow screen. */
  isOpen: boolean;
  onSelect: (thread: string) => void;
  onCreate: () => void;
  onClose: () => void;
}

/** The conversations; a drawer on a narrow screen. */
export function Sidebar({ desk, selected, isOpen, onSelect, onCreate, onClose }: SidebarProps) {
  const { threads, titles } = desk;
  const isNarrow = useIsNarrow();
  const close = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (isOpen && isNarrow) close.current?.focus();
  }, [isOpen, isNarrow]);

  // One that was opened and never used says nothing to anybody.
  const shown = threads?.filter(
    ({ thread, head, title }) => head > 0 || title || thread === selected || titles.has(thread),
  );
  return (
    <>
      {isOpen && <div className="scrim" onClick={onClose} />}
      <nav
        className="sidebar"
        data-open={isOpen}
        inert={isNarrow && !isOpen}
        aria-label="Conversations"
        onKeyDown={(event) => {
          if (event.key === "Escape" && isNarrow) onClose();
        }}
      >
        <div className="sidebar-top">
          <p className="brand">
            <Mark /> Rethread
          </p>
          <button
            ref={close}
            type="button"
            className="button icon-only drawer-close"
            aria-label="Hide conversations"
            onClick={onClose}
          >
            <CloseIcon />
          </button>
        </div>
        <button type="button" className="button new" data-testid="new-thread" onClick={onCreate}>
          <PlusIcon /> New conversation
        </button>
        <ul className="threads" data-testid="thread-list">
          {shown?.map(({ thread, created_at }) => (
            <Item
              key={thread}
              thread={thread}
              title={titleOf(desk, thread)}
              createdAt={created_at}
              isSelected={thread === selected}
              onSelect={onSelect}
            />
          ))}
        </ul>
        {shown?.length === 0 && (
          <p className="quiet threads-empty">
            Your conversations appear here. They are kept by the server, not by this tab.
          </p>
        )}
      </nav>
    </>
  );
}

interface ItemProps {
  thread: string;
  title: string;
  createdAt: number;
  isSelected: boolean;
  onSelect: (thread: string) => void;
}

const Item = memo(function Item({ thread, title, createdAt, isSelected, onSelect }: ItemProps) {
  return (
    <li>
      <a
        href={`#${thread}`}
        data-thread={thread}
        aria-current={isSelected ? "page" : undefined}
        title={title}
        onClick={() => onSelect(thread)}
      >
        <span className="thread-title">{title}</span>
        <time className="thread-time" dateTime={new Date(createdAt).toISOString()} title="begun">
          {ago(createdAt, Date.now())}
        </time>
      </a>
    </li>
  );
});

const narrow = window.matchMedia("(max-width: 800px)");

function useIsNarrow(): boolean {
  return useSyncExternalStore(
    (watcher) => {
      narrow.addEventListener("change", watcher);
      return () => narrow.removeEventListener("change", watcher);
    },
    () => narrow.matches,
  );
}
