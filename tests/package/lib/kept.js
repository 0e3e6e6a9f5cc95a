/** How far a page's databases have a thread: the last event that is kept, or 0. */
export const keptOf = (page, thread) =>
  page.evaluate(async (thread) => {
    const done = (request) =>
      new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
      });
    for (const { name } of await indexedDB.databases()) {
      const database = await done(indexedDB.open(name));
      const rows = await done(database.transaction("threads").objectStore("threads").getAll());
      database.close();
      const row = rows.find((row) => row.thread === thread);
      if (row) return row.last;
    }
    return 0;
  }, thread);
