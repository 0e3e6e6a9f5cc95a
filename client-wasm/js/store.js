import { Cache } from "./cache.js";
import { openDatabase } from "./database.js";
import { Outbox } from "./outbox.js";

/**
 * What a browser keeps between two loads of a page: events, and messages that are not yet stored.
 * For one server and one user, in a database of their own.
 */
export async function load() {
  return { openStore };
}

/**
 * Opens the store. One that cannot be used (private mode, no room, a database that is blocked or
 * broken) keeps nothing, and `trouble` is told why; everything else goes on.
 */
async function openStore(name, trouble) {
  const database = await openDatabase(name, trouble);
  const outbox = new Outbox(database, name);
  return {
    cache: new Cache(database),
    outbox,
    /** Deletes all of it. */
    forget: () => database.forget(),
    close: () => {
      outbox.close();
      database.close();
    },
  };
}
