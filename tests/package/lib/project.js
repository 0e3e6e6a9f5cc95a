import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync, existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = fileURLToPath(new URL("..", import.meta.url));
const PACKAGE = join(HERE, "../../client-wasm/pkg");
const QUIET = ["--loglevel=error", "--no-audit", "--no-fund"];

/**
 * A copy of a folder of this one, with the packed package installed.
 *
 * @param within where the copy is to be. Outside of the repository, unless it needs what is installed here.
 * @returns its folder, and a function that removes it.
 */
export function install(name, within = tmpdir()) {
  mkdirSync(within, { recursive: true });
  const folder = mkdtempSync(join(within, `rethread-${name.replace("/", "-")}-`));
  cpSync(join(HERE, name), folder, { recursive: true });
  if (!existsSync(join(folder, "package.json"))) {
    writeFileSync(join(folder, "package.json"), '{"private":true,"type":"module"}');
  }
  const words = ["install", "--offline", "--no-package-lock", ...QUIET, pack(folder)];
  execFileSync("npm", words, { cwd: folder });
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** Packs the package into a folder and gives the file. */
function pack(folder) {
  const words = ["pack", "--silent", ...QUIET, "--pack-destination", folder];
  const packed = execFileSync("npm", words, { cwd: PACKAGE, encoding: "utf8" });
  return join(folder, packed.trim().split("\n").at(-1));
}

/** A place in this folder for copies that use the packages which are installed here. */
export const BESIDE = join(HERE, ".projects");

/** A program of this folder's own packages. */
export const tool = (name) => join(HERE, "node_modules/.bin", name);
