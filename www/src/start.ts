import { type Client, connect } from "@rethread/client";

import { Api, ApiError } from "./api";
import { Desk } from "./desk";
import * as saved from "./saved";
import { tokenSource } from "./token";

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

async function refusalOf(api: Api): Promise<string | undefined> {
  try {
    await api.threads();
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return error.message;
  }
  return undefined;
}
