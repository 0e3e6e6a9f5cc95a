import { devToken, type TokenSource } from "./api";
import * as saved from "./saved";

/** The tokens that a server in dev mode gives, beginning with this one where there is one already. */
export function devTokens(token?: string): TokenSource {
  let fetchedAt = Date.now();
  return async ({ refused } = { refused: false }) => {
    if (refused || token === undefined || Date.now() - fetchedAt > lifetimeOf(token) / 2) {
      token = await devToken();
      fetchedAt = Date.now();
    }
    if (token === undefined) {
      // So that the page asks for a token when it is loaded again.
      saved.keepUser(undefined);
      throw new Error("the server is no longer in dev mode");
    }
    return token;
  };
}

/** Whom a token names. */
export function userOf(token: string): string | undefined {
  return claimsOf(token).sub;
}

/** How long a token is good for, milliseconds: a span, for the server's clock may not be ours. */
function lifetimeOf(token: string): number {
  const { exp = 0, iat = 0 } = claimsOf(token);
  return (exp - iat) * 1000;
}

function claimsOf(token: string): { sub?: string; exp?: number; iat?: number } {
  try {
    return JSON.parse(atob(token.split(".")[1]!.replaceAll("-", "+").replaceAll("_", "/")));
  } catch {
    return {};
  }
}
