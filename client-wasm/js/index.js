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
    const message = `the WebAssembly could not be loaded: ${cause?.message ?? cause}`;
    throw new RethreadError("wasm_failed", message, { cause });
  }
}

function socketAddress(url) {
  let address;
  try {
    address = new URL(url ?? "/", globalThis.location?.href);
  } catch (cause) {
    const received = String(url);
    throw new RethreadError("bad_option", `\`url\` is no address: ${received}`, { received, cause });
  }
  address.protocol = address.protocol.replace(/^http/, "ws");
  if (!/^wss?:$/.test(address.protocol)) {
    const expected = "https://, http://, wss:// or ws://";
    const received = String(url);
    throw new RethreadError("bad_option", `\`url\` must begin with ${expected}`, { expected, received });
  }
  address.pathname = `${address.pathname.replace(/(\/v1\/ws)?\/?$/, "")}/v1/ws`;
  address.hash = "";
  return address.href;
}
