// Prints for each line of standard input whether it is a reply by the JSON Schema.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import Ajv2020 from "ajv/dist/2020.js";

const schema = createRequire(import.meta.url)("boris-ingestd-client/schema.json");
const ajv = new Ajv2020.default({ strict: false });
ajv.addSchema(schema);
const valid = ajv.getSchema(`${schema.$id}#/$defs/reply`);
console.log(JSON.stringify(readFileSync(0, "utf8").split("\n").slice(0, -1).map((line) => valid(JSON.parse(line)))));
