/** The page, and the package as it is packed for npm. */

import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";

const PAGE = fileURLToPath(new URL("../page", import.meta.url));
const PACKAGE = fileURLToPath(new URL("../../../client-wasm/pkg", import.meta.url));
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".wasm": "application/wasm" };

export async function serveSite() {
  const folder = mkdtempSync(join(tmpdir(), "rethread-bench-page-"));
  const packed = execFileSync("npm", ["pack", "--silent", "--pack-destination", folder], {
    cwd: PACKAGE,
    encoding: "utf8",
  });
  execFileSync("tar", ["xzf", packed.trim().split("\n").at(-1)], { cwd: folder });
  const roots = { "/sdk/": join(folder, "package"), "/bench/": PAGE };
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://x");
    const root = Object.keys(roots).find((root) => pathname.startsWith(root));
    try {
      const body = root ? readFileSync(join(roots[root], pathname.slice(root.length))) : undefined;
      response.writeHead(body ? 200 : 404, { "content-type": TYPES[extname(pathname)] ?? "text/plain" });
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const close = () => {
    server.closeAllConnections();
    server.close();
    rmSync(folder, { recursive: true, force: true });
  };
  return { url: `http://127.0.0.1:${server.address().port}/bench/index.html`, close };
}
