/**
 * A WebAssembly file of this package, imported with a bundler that is told what to make of it: an
 * address (esbuild's loader `file`, webpack's `asset/resource`), its bytes, or a module.
 *
 * ```js
 * import wasm from "@rethread/client/wasm";
 *
 * const client = await connect({ token, wasm });
 * ```
 *
 * @module
 */
import type { WasmSource } from "./index.js";

/** What the bundler makes of the file: `connect({ wasm })` takes it. */
declare const wasm: WasmSource;

export default wasm;
