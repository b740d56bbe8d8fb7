import { defineConfig } from "vite";

export default defineConfig({
  // Relative addresses, so that the page also works below a path prefix (kubectl proxy, an ingress).
  base: "./",
  build: {
    target: "es2022",
    // The content security policy allows scripts from files only, and data: for images only.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    // `npx vite` against a running aggregator or `node mock.mjs`.
    proxy: { "/api": "http://127.0.0.1:8082" },
  },
});
