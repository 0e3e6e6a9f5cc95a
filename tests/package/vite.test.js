import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { launch, serve } from "./lib/browser.js";
import { followsThroughACrash } from "./lib/chat.js";
import { install, tool } from "./lib/project.js";
import { Server } from "./lib/server.js";

let browser, project, server, site;

before(async () => {
  project = install("projects/vite");
  execFileSync(tool("vite"), ["build", "--logLevel=warn"], { cwd: project.folder, stdio: "inherit" });
  const built = join(project.folder, "dist");
  [browser, server, site] = await Promise.all([launch(), Server.start(), serve(built)]);
});

after(async () => {
  await browser?.close();
  await Promise.all([server?.stop(), site?.close()]);
  project?.remove();
});

test("a page built by Vite follows a thread through a crash of the server", () =>
  followsThroughACrash(browser, server, site.url));
