import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, writeFileSync, existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = fileURLToPath(new URL("..", import.meta.url));
const PACKAGE = join(HERE, "../../client-wasm/pkg");
const QUIET = ["--loglevel=error", "--no-audit", "--no-fund"];

/**
 * A copy of a folder of this one, outside of the repository, with the packed package installed.
 *
 * @returns its folder, and a function that removes it.
 */
export function install(name) {
  const folder = mkdtempSync(join(tmpdir(), `rethread-${name.replace("/", "-")}-`));
  cpSync(join(HERE, name), folder, { recursive: true });
  if (!existsSync(join(folder, "package.json"))) {
    writeFileSync(join(folder, "package.json"), '{"private":true,"type":"module"}');
  }
  execFileSync("npm", ["install", "--offline", ...QUIET, pack(folder)], { cwd: folder });
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** Packs the package into a folder and gives the file. */
function pack(folder) {
  const words = ["pack", "--silent", ...QUIET, "--pack-destination", folder];
  const packed = execFileSync("npm", words, { cwd: PACKAGE, encoding: "utf8" });
  return join(folder, packed.trim().split("\n").at(-1));
}

/** A program of this folder's own packages. */
export const tool = (name) => join(HERE, "node_modules/.bin", name);
