import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, writeFileSync, existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = fileURLToPath(new URL("..", import.meta.url));
const PACKAGE = join(HERE, "../../client-wasm/pkg");

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
  const quiet = ["--loglevel=error", "--no-audit", "--no-fund"];
  const packed = execFileSync("npm", ["pack", "--silent", ...quiet, "--pack-destination", folder], {
    cwd: PACKAGE,
    encoding: "utf8",
  });
  const file = packed.trim().split("\n").at(-1);
  execFileSync("npm", ["install", "--offline", ...quiet, join(folder, file)], { cwd: folder });
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** A program of this folder's own packages. */
export const tool = (name) => join(HERE, "node_modules/.bin", name);
