import { type Client, connect } from "@rethread/client";

import { Api, ApiError, devToken, type TokenSource } from "./api";
import { Desk } from "./desk";
import * as saved from "./saved";

/** How the page came up. */
export type Started =
  | { readonly kind: "ready"; readonly desk: Desk }
  /** The server is not in dev mode and this tab has no token, or one that is refused: why. */
  | { readonly kind: "token"; readonly refusal: string | undefined }
  /** The server cannot be reached, or the package cannot run here. */
  | { readonly kind: "failed"; readonly reason: string };

/** Finds a token, connects, and opens the desk. Never throws. */
export async function start(): Promise<Started> {
  try {
    const source = await tokenSource();
    if (!source) return { kind: "token", refusal: undefined };
    const api = new Api(source);
    if (saved.token() !== undefined) {
      const refusal = await refusalOf(api);
      if (refusal !== undefined) return { kind: "token", refusal };
    }
    const client: Client = await connect({ token: source });
    return { kind: "ready", desk: new Desk(client, api) };
  } catch (error) {
    return { kind: "failed", reason: error instanceof Error ? error.message : String(error) };
  }
}

/** A token pasted into this tab, or else those that a server in dev mode gives. */
async function tokenSource(): Promise<TokenSource | undefined> {
  const pasted = saved.token();
  if (pasted !== undefined) return () => Promise.resolve(pasted);
  let token = await devToken();
  if (token === undefined) return undefined;
  let fetchedAt = Date.now();
  return async () => {
    if (token === undefined || Date.now() - fetchedAt > lifetimeOf(token) / 2) {
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

async function refusalOf(api: Api): Promise<string | undefined> {
  try {
    await api.threads();
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return error.message;
  }
  return undefined;
}
