import { after, before, test } from "node:test";

import { launch, serve } from "./lib/browser.js";
import { followsThroughACrash } from "./lib/chat.js";
import { install } from "./lib/project.js";
import { Server } from "./lib/server.js";

let browser, project, server, site;

before(async () => {
  project = install("projects/plain");
  [browser, server, site] = await Promise.all([launch(), Server.start(), serve(project.folder)]);
});

after(async () => {
  await browser?.close();
  await Promise.all([server?.stop(), site?.close()]);
  project?.remove();
});

test("a plain page follows a thread through a crash of the server", () =>
  followsThroughACrash(browser, server, site.url));
