import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

/** Where `npm run dev` finds a running `rethread serve --dev`. */
const SERVER = "http://127.0.0.1:4242";

export default defineConfig({
  plugins: [react()],
  // The package stands elsewhere, and its hooks are to have this page's React.
  resolve: { dedupe: ["react"] },
  // The package finds its WebAssembly beside its own JavaScript; pre-bundling would part them.
  optimizeDeps: { exclude: ["@rethread/client"] },
  build: {
    target: "es2022",
    // Everything is a file of its own below /assets, so that a page without data: and inline
    // sources can be served under a strict Content-Security-Policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    fs: { allow: [".."] },
    proxy: { "/v1": { target: SERVER, ws: true } },
  },
});
