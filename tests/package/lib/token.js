import { createHmac } from "node:crypto";

/** What the server of these tests signs with: `--secret`. */
export const SECRET = "a secret for the tests of the package, long enough";

const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A token for a user who may do everything a page does, that ends in so many seconds. */
export function mint({ sub = "ada", seconds = 3600, ...more } = {}) {
  const iat = Math.floor(Date.now() / 1000);
  const exp = iat + seconds;
  const claims = { sub, scope: "subscribe send", threads: ["*"], iat, exp, ...more };
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}
