import init from "./rethread.js";
import { Client } from "./client.js";
import { RethreadError } from "./error.js";

export { RethreadError };

/** Loads the wasm and starts to connect; see index.d.ts. */
export async function connect({ url, token, wasm, viewWasm, fallbackWasm, tabs = true, cache = true, user } = {}) {
  if (typeof token !== "string" && typeof token !== "function") {
    throw new RethreadError("bad_option", "`token` must be a string or a function");
  }
  const address = socketAddress(url);
  await load(wasm);
  const parts = { view: viewWasm, fallback: fallbackWasm };
  return new Client(address, token, { parts, tabs, cache, user });
}

let loading;

/** Loads the wasm once for the page. A load that failed may be tried again. */
async function load(wasm) {
  loading ??= init(wasm === undefined ? undefined : { module_or_path: wasm });
  try {
    await loading;
  } catch (cause) {
    loading = undefined;
    const message = `no WebAssembly: ${cause?.message ?? cause}`;
    throw new RethreadError("wasm_failed", message, { cause });
  }
}

function socketAddress(url) {
  const expected = "https://, http://, wss:// or ws://";
  let address, cause;
  try {
    address = new URL(url ?? "/", globalThis.location?.href);
  } catch (error) {
    cause = error;
  }
  if (!/^(http|ws)s?:$/.test(address?.protocol)) {
    const message = `\`url\` must be an address that begins with ${expected}`;
    throw new RethreadError("bad_option", message, { expected, received: String(url), cause });
  }
  address.protocol = address.protocol.replace(/^http/, "ws");
  address.pathname = `${address.pathname.replace(/(\/v1\/ws)?\/?$/, "")}/v1/ws`;
  address.hash = "";
  return address.href;
}
