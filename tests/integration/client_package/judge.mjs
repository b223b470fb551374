// Judges a file's lines: prints [code, field] or null for each, by the validator, whether the JSON Schema accepts it, and whether
// the reason of a reject is one that a schema cannot express.
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
  const beyondSchema = !verdict.ok && (verdict.code === "bad_json" || /fractions are rejected/.test(verdict.message) || /periodEnd must be later|must exist|outside the range|deeper than|half of a surrogate|NUL/.test(verdict.message) ||
    /1 to (255|64) bytes/.test(verdict.message) || /fit 64 bits/.test(verdict.message) || /own parent/.test(verdict.message));
  console.log(JSON.stringify({ reject: verdict.ok ? null : [verdict.code, verdict.field ?? null], bySchema, beyondSchema }));
}
