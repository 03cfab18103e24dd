// Builds dist/ from src/: a script and a style sheet named by their content, the icon, and
// the page that names them. Types are checked by `npm run check`, not here. The page is
// written last: where it is there, what it names is there as well.
import { context, build } from "esbuild";
import { createHash } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";

// What a browser loads before anything is shown, compressed. More is a decision, not drift.
const GZIP_BYTES_MAX = 80_000;

const here = new URL("./", import.meta.url);
const src = new URL("src/", here);
const dist = new URL("dist/", here);

const named = (stem, ending, content) =>
  `${stem}-${createHash("sha256").update(content).digest("hex").slice(0, 16)}.${ending}`;

async function write(outputs) {
  const files = new Map();
  for (const { path, contents } of outputs) {
    const ending = path.endsWith(".css") ? "css" : "js";
    files.set(ending, [named("console", ending, contents), contents]);
  }
  const icon = await readFile(new URL("icon.svg", src));
  files.set("svg", [named("icon", "svg", icon), icon]);
  let page = await readFile(new URL("index.html", src), "utf8");
  for (const [ending, [name]] of files) {
    page = page.replaceAll(`{{${ending}}}`, `assets/${name}`);
  }
  await rm(dist, { recursive: true, force: true });
  await mkdir(new URL("assets/", dist), { recursive: true });
  let size = 0;
  for (const [name, contents] of files.values()) {
    await writeFile(new URL(`assets/${name}`, dist), contents);
    size += gzipSync(contents).length;
  }
  await writeFile(new URL("licenses.txt", dist), await licenses());
  await writeFile(new URL("index.html", dist), page);
  return size;
}

/** The licences of what is built in, which ask to go with it. */
async function licenses() {
  const { dependencies } = JSON.parse(await readFile(new URL("package.json", here), "utf8"));
  const texts = Object.entries(dependencies).map(async ([name, version]) =>
    `${name} ${version}\n\n${await readFile(new URL(`node_modules/${name}/LICENSE`, here), "utf8")}`);
  return (await Promise.all(texts)).join("\n\n");
}

const options = {
  entryPoints: [new URL("main.tsx", src).pathname],
  bundle: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  minify: true,
  legalComments: "inline",
  charset: "utf8",
  outdir: dist.pathname,
  write: false,
  logLevel: "warning",
};

if (process.argv.includes("--watch")) {
  const plugin = {
    name: "write",
    setup: (b) => b.onEnd(async (result) => {
      if (result.errors.length === 0) console.log(`built, ${await write(result.outputFiles)} bytes compressed`);
    }),
  };
  await (await context({ ...options, plugins: [plugin] })).watch();
} else {
  const size = await write((await build(options)).outputFiles);
  console.log(`built, ${size} bytes compressed of ${GZIP_BYTES_MAX} at most`);
  if (size > GZIP_BYTES_MAX) process.exit(1);
}
