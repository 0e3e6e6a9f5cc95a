import { Api, ApiError, devToken, type TokenSource } from "./api";
import * as saved from "./saved";
import { devTokens, userOf } from "./token";

/** How the page came up. */
export type Started =
  | { readonly kind: "ready"; readonly token: TokenSource; readonly user: string; readonly api: Api }
  /** The server is not in dev mode and this tab has no token, or one that is refused: why. */
  | { readonly kind: "token"; readonly refusal: string | undefined }
  /** The server cannot be reached. */
  | { readonly kind: "failed"; readonly reason: string };

/** Finds out who this is. Never throws. */
export async function start(): Promise<Started> {
  const pasted = saved.token();
  const source = (token?: string) => (pasted === undefined ? devTokens(token) : async () => pasted);
  // A tab that was in before shows what it has kept; whether it may go on, the connection says.
  const known = saved.user();
  if (known !== undefined) return ready(source(), known);
  try {
    const token = pasted ?? (await devToken());
    if (token === undefined) return { kind: "token", refusal: undefined };
    const refusal = pasted && (await refusalOf(pasted));
    if (refusal !== undefined) return { kind: "token", refusal };
    const user = userOf(token) ?? "";
    saved.keepUser(user);
    return ready(source(token), user);
  } catch (error) {
    return { kind: "failed", reason: error instanceof Error ? error.message : String(error) };
  }
}

function ready(token: TokenSource, user: string): Started {
  return { kind: "ready", token, user, api: new Api(token) };
}

async function refusalOf(token: string): Promise<string | undefined> {
  try {
    await new Api(async () => token).threads();
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return error.message;
  }
  return undefined;
}
