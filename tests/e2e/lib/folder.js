/** Temporary folders that are gone when the process is, however it ends. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** @type {Set<string>} */
const folders = new Set();

/** Makes a folder; gives its path. */
export function makeFolder() {
  const folder = mkdtempSync(join(tmpdir(), "rethread-e2e-"));
  folders.add(folder);
  return folder;
}

/** Removes a folder with all that is in it. */
export function removeFolder(folder) {
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  folders.delete(folder);
}

/** Removes those that are left. */
export function removeFolders() {
  folders.forEach(removeFolder);
}
