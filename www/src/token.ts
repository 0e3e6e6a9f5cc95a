import { devToken, type TokenSource } from "./api";
import * as saved from "./saved";

/** A token pasted into this tab, or else those that a server in dev mode gives. */
export async function tokenSource(): Promise<TokenSource | undefined> {
  const pasted = saved.token();
  if (pasted !== undefined) return () => Promise.resolve(pasted);
  let token = await devToken();
  if (token === undefined) return undefined;
  let fetchedAt = Date.now();
  return async ({ refused } = { refused: false }) => {
    if (refused || token === undefined || Date.now() - fetchedAt > lifetimeOf(token) / 2) {
      token = await devToken();
      fetchedAt = Date.now();
    }
    if (token === undefined) throw new Error("the server is no longer in dev mode");
    return token;
  };
}

/** How long a token is good for, milliseconds: a span, for the server's clock may not be ours. */
function lifetimeOf(token: string): number {
  try {
    const claims = token.split(".")[1]!.replaceAll("-", "+").replaceAll("_", "/");
    const { exp, iat } = JSON.parse(atob(claims)) as { exp: number; iat: number };
    return (exp - iat) * 1000;
  } catch {
    return 0;
  }
}
