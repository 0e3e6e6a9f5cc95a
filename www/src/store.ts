import { useSyncExternalStore } from "react";

/** A value that components can watch. Values are replaced, never changed in place. */
export abstract class Store<T> {
  private readonly watchers = new Set<() => void>();

  protected constructor(private value: T) {}

  /** The value now. */
  readonly read = (): T => this.value;

  /** Calls `watcher` after every change; the function given back ends that. */
  readonly watch = (watcher: () => void): (() => void) => {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  };

  protected write(change: Partial<T>): void {
    this.value = { ...this.value, ...change };
    for (const watcher of this.watchers) watcher();
  }
}

/** A store's value, kept up to date. */
export function useStore<T>(store: Store<T>): T {
  return useSyncExternalStore(store.watch, store.read);
}
