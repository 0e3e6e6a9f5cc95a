import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";

import { chromium } from "playwright-core";

const FLAGS = [
  "--no-sandbox",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-gpu",
];

const TYPES = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".map": "application/json",
  ".wasm": "application/wasm",
};

/** @param options for Playwright, beside those. */
export const launch = (options = {}) =>
  chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: FLAGS, ...options });

/** Serves a folder as any static host would; `headers` go with every answer. */
export async function serve(folder, headers = {}) {
  const server = createServer((request, response) => {
    const path = normalize(new URL(request.url, "http://x").pathname);
    const file = join(folder, path.endsWith("/") ? `${path}index.html` : path);
    if (!existsSync(file) || !statSync(file).isFile()) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "text/plain", ...headers });
    createReadStream(file).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return { url: `http://127.0.0.1:${server.address().port}`, close };
}

/**
 * A page whose errors are collected, because a missing file would otherwise show as a time-out only.
 * A socket that cannot be opened while the server is down is no error, nor is asking whether it is up:
 * that is what is tested. `init` may prepare the page before it loads anything.
 */
export async function open(browser, url, init) {
  const page = await browser.newPage();
  await init?.(page);
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("requestfailed", (request) => {
    if (!request.url().endsWith("/healthz")) errors.push(`failed: ${request.url()}`);
  });
  page.on("response", (response) => {
    if (response.status() >= 400 && !response.url().endsWith("/favicon.ico")) {
      errors.push(`${response.status()}: ${response.url()}`);
    }
  });
  page.on("console", (message) => {
    const expected = /WebSocket connection to|favicon|healthz/.test(message.text() + message.location().url);
    if (message.type() === "error" && !expected) errors.push(message.text());
  });
  await page.goto(url);
  return { page, errors };
}
