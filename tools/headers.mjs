// The headers that a host should send with the page. `tools/serve.mjs` sends them, and `tools/pack.mjs` writes them into dist/
// for the common static hosts.
import { readFileSync } from "node:fs";

const page = readFileSync(new URL("../index.html", import.meta.url), "utf8");
const [, policy] = /Content-Security-Policy" content="([^"]+)"/.exec(page);

/** By name. The policy is the page's own <meta>, which a worker that is loaded over the network does not inherit; framing can
 *  only be refused by a header. */
export const HEADERS = {
  "Content-Security-Policy": `${policy}; frame-ancestors 'self'`,
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
  "Referrer-Policy": "no-referrer",
  "X-Content-Type-Options": "nosniff",
};

const lines = (line) =>
  Object.entries(HEADERS)
    .map(([name, value]) => line(name, value))
    .join("\n");

/** What dist/ holds for hosts that read such a file, by its name. */
export const HEADER_FILES = {
  // Netlify, Cloudflare Pages
  _headers: `/*\n${lines((name, value) => `  ${name}: ${value}`)}\n`,
  // Apache
  ".htaccess": `<IfModule mod_headers.c>\n${lines((name, value) => `  Header always set ${name} "${value}"`)}\n</IfModule>\nAddType application/wasm .wasm\n`,
  // nginx: include it in the server's block
  "nginx-headers.conf": `${lines((name, value) => `add_header ${name} "${value}" always;`)}\n`,
};
