import { afterEach, expect, test, vi } from "vitest";

import { tokenSource } from "../src/token";

afterEach(() => vi.unstubAllGlobals());

/** A token that is good for a day, as far as one can read from it. */
const token = (number: number): string =>
  `head.${btoa(JSON.stringify({ iat: 0, exp: 86_400, number }))}.signature`;

test("a refused token is not given again", async () => {
  let made = 0;
  vi.stubGlobal("fetch", () => Promise.resolve(Response.json({ token: token(++made) })));
  const source = (await tokenSource())!;
  expect(await source()).toBe(token(1));
  expect(await source({ refused: false })).toBe(token(1));
  expect(await source({ refused: true })).toBe(token(2));
  expect(await source()).toBe(token(2));
});
