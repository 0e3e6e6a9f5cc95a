import { afterEach, expect, test, vi } from "vitest";

import { devTokens, userOf } from "../src/token";

afterEach(() => vi.unstubAllGlobals());

/** A token that is good for a day, as far as one can read from it. */
const token = (number: number): string =>
  `head.${btoa(JSON.stringify({ sub: "ada", iat: 0, exp: 86_400, number }))}.signature`;

test("a refused token is not given again", async () => {
  let made = 0;
  vi.stubGlobal("fetch", () => Promise.resolve(Response.json({ token: token(++made) })));
  const source = devTokens();
  expect(await source()).toBe(token(1));
  expect(await source({ refused: false })).toBe(token(1));
  expect(await source({ refused: true })).toBe(token(2));
  expect(await source()).toBe(token(2));
});

test("a token says whom it names, and any other text says nothing", () => {
  expect(userOf(token(1))).toBe("ada");
  expect(userOf("no token")).toBeUndefined();
});
