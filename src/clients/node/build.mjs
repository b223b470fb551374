// Compiles src/ twice, as ES modules and as CommonJS, with types for each: dist/esm and dist/cjs. TypeScript takes a file's format from
// the package.json beside it, so each format is compiled from a copy of its own.
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const tsc = createRequire(import.meta.url).resolve("typescript/bin/tsc");

// src/drizzle/v1 and a copy of tables.ts are compiled with drizzle-orm 1 first; for the rest their types are declarations.
const V1 = "src/drizzle/v1";

function compile(copy, config) {
  writeFileSync(join(copy, "tsconfig.build.json"), JSON.stringify({ extends: "./tsconfig.json", ...config }));
  execFileSync(process.execPath, [tsc, "-p", join(copy, "tsconfig.build.json")], { stdio: "inherit" });
}

function build(copy, out, type) {
  const compilerOptions = { outDir: out, rootDir: join(copy, "src") };
  const v1 = join(copy, V1), v1Out = join(out, "drizzle/v1");
  cpSync(join(copy, "src/drizzle/tables.ts"), join(v1, "tables.ts"));
  mkdirSync(join(v1, "node_modules"));
  symlinkSync(join(here, "node_modules/drizzle-orm-v1"), join(v1, "node_modules/drizzle-orm"), "dir");
  compile(copy, { compilerOptions: { ...compilerOptions, preserveSymlinks: true }, include: [`${V1}/relations.ts`] });
  rmSync(v1, { recursive: true });
  cpSync(v1Out, v1, { recursive: true, filter: (path) => !path.endsWith(".js") });
  compile(copy, { compilerOptions, include: ["src"] });
  // one set of tables at run time
  writeFileSync(join(v1Out, "tables.js"), type === "module" ? 'export * from "../tables.js";\n'
    : '"use strict";\nmodule.exports = require("../tables.js");\n');
  writeFileSync(join(out, "package.json"), `${JSON.stringify({ type })}\n`);
}

rmSync(join(here, "dist"), { recursive: true, force: true });
for (const [format, type] of [["esm", "module"], ["cjs", "commonjs"]]) {
  const copy = join(here, `.build-${format}`);
  rmSync(copy, { recursive: true, force: true });
  cpSync(join(here, "src"), join(copy, "src"), { recursive: true });
  cpSync(join(here, "tsconfig.json"), join(copy, "tsconfig.json"));
  writeFileSync(join(copy, "package.json"), JSON.stringify({ type }));
  try {
    build(copy, join(here, "dist", format), type);
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}
console.log(`dist: ${readdirSync(join(here, "dist")).join(", ")}`);
