// Compiles src/ twice, as ES modules and as CommonJS, with types for each: dist/esm and dist/cjs. TypeScript takes a file's format from
// the package.json beside it, so each format is compiled from a copy of its own.
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const tsc = createRequire(import.meta.url).resolve("typescript/bin/tsc");

rmSync(join(here, "dist"), { recursive: true, force: true });
for (const [format, type] of [["esm", "module"], ["cjs", "commonjs"]]) {
  const copy = join(here, `.build-${format}`);
  const out = join(here, "dist", format);
  cpSync(join(here, "src"), join(copy, "src"), { recursive: true });
  cpSync(join(here, "tsconfig.json"), join(copy, "tsconfig.json"));
  writeFileSync(join(copy, "package.json"), JSON.stringify({ type }));
  try {
    execFileSync(process.execPath, [tsc, "-p", copy, "--outDir", out, "--rootDir", join(copy, "src")], { stdio: "inherit" });
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
  mkdirSync(out, { recursive: true });
  writeFileSync(join(out, "package.json"), `${JSON.stringify({ type })}\n`);
}
console.log(`dist: ${readdirSync(join(here, "dist")).join(", ")}`);
