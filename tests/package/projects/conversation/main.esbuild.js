import { connect } from "@rethread/client";
import fallbackWasm from "@rethread/client/fallback-wasm";
import viewWasm from "@rethread/client/view-wasm";
import wasm from "@rethread/client/wasm";

import { show } from "./show.js";

const { url, token, thread } = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
show(await connect({ url, token, wasm, viewWasm, fallbackWasm }), thread);
