import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

import { connect } from "@rethread/client";

const options = { url: "http://127.0.0.1:9", token: "t" };
const without = await connect(options).catch((error) => error.code);
const wasm = readFileSync(createRequire(import.meta.url).resolve("@rethread/client/wasm"));
const client = await connect({ ...options, wasm });
client.close();
const { state, code } = client.status;
const timers = process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
console.log(JSON.stringify({ without, closed: { state, code }, timers }));
