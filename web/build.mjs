// Builds the console into ledger/console/static: one page, its script in chunks, its style; every name but the page's has its hash in it.
import { copyFileSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const folder = join(here, "..", "ledger", "console", "static");

mkdirSync(folder, { recursive: true });
for (const name of readdirSync(folder)) rmSync(join(folder, name));

const { metafile } = await build({
  absWorkingDir: here,
  entryPoints: ["src/main.tsx"],
  outdir: folder,
  bundle: true,
  splitting: true,
  format: "esm",
  target: "es2022",
  minify: true,
  metafile: true,
  entryNames: "console-[hash]",
  chunkNames: "part-[hash]",
  assetNames: "asset-[hash]",
  legalComments: "none",
  jsx: "automatic",
  jsxImportSource: "preact",
  logLevel: "warning",
});
// Whose code is in it: their licences go along; they are not served.
const packages = new Set(Object.keys(metafile.inputs).map((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1]).filter(Boolean));
for (const name of packages) copyFileSync(join(here, "node_modules", name, "LICENSE"), join(folder, `${name.replace("@", "").replace("/", "-")}.LICENSE.txt`));
const outputs = Object.entries(metafile.outputs);
const script = outputs.find(([, made]) => made.entryPoint === "src/main.tsx");
const names = [script[0], script[1].cssBundle].map((path) => basename(path));

// Last: where the page is, the rest is too.
writeFileSync(
  join(folder, "index.html"),
  `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Agent Ledger</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/console/${names[1]}">
<script type="module" src="/console/${names[0]}"></script>
<div id="app"></div>
<noscript>The console needs JavaScript: its own, from this server, and nothing from elsewhere.</noscript>
</html>
`,
);
