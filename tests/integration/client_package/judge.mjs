// Judges a file's lines: prints [code, field] or null for each, by the validator, and whether the JSON Schema takes it.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import Ajv2020 from "ajv/dist/2020.js";
import { validateLine } from "boris-ingestd-client/schema";

const schema = createRequire(import.meta.url)("boris-ingestd-client/schema.json");
const valid = new Ajv2020.default({ strict: false }).compile(schema);
for (const line of readFileSync(process.argv[2], "utf8").split("\n").slice(0, -1)) {
  const verdict = validateLine(line);
  let bySchema = null;
  try {
    bySchema = valid(JSON.parse(line));
  } catch { /* not JSON */ }
  console.log(JSON.stringify({ reject: verdict.ok ? null : [verdict.code, verdict.field ?? null], bySchema }));
}
