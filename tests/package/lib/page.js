import assert from "node:assert/strict";

import { open } from "./browser.js";

/**
 * Runs `work(connect, given, RethreadError)` in a page that has the package; `given` has url, token,
 * thread and run, and what is in `more`.
 *
 * @returns `given`, the page, the result to come, the ops that the page has sent, and `close`, which
 *   asserts that the page had no errors but the expected ones.
 */
export async function runInPage({ browser, server, site }, work, options = {}) {
  const { more = {}, expectedErrors = [] } = options;
  const given = { url: server.url, token: await server.token(), ...(await server.thread()), ...more };
  const { page, errors } = await open(browser, site.url);
  const sent = [];
  page.on("websocket", (socket) =>
    socket.on("framesent", ({ payload }) => sent.push(JSON.parse(payload).op)),
  );
  const source = `async (given) => {
    const { connect, RethreadError } = await import("@rethread/client");
    return (${work})(connect, given, RethreadError);
  }`;
  const result = page.evaluate(`(${source})(${JSON.stringify(given)})`);
  return {
    ...given,
    page,
    sent,
    result,
    close: async () => {
      const unexpected = errors.filter((error) => !expectedErrors.some((e) => e.test(error)));
      assert.deepEqual(unexpected, []);
      await page.close();
    },
  };
}
