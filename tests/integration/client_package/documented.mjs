// Prints every exported name, and every member of it, that has no TSDoc.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";

const root = "node_modules/boris-ingestd-client";
const { exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const entries = Object.values(exports).flatMap((entry) => entry.import?.types ?? []).map((path) => join(root, path));
const program = ts.createProgram(entries, { module: ts.ModuleKind.Node16, moduleResolution: ts.ModuleResolutionKind.Node16, skipLibCheck: true });
const checker = program.getTypeChecker();
const missing = new Set();
let names = 0;

const isOurs = (symbol) => symbol.declarations?.some((d) => d.getSourceFile().fileName.includes("boris-ingestd-client/dist"));

// Fields of the wire are documented by the wire's reference; their names are those of the tables below.
const WIRE = new Set(["kind", "platform", "accountExternalId", "externalId", "periodStart", "periodEnd", "currency", "impressions", "clicks",
  "conversions", "connectionId", "name", "type", "status", "parentExternalId", "code", "message", "record", "id", "index", "records"]);
const ROWS = /^(BucketTotals|LatestRow|ReportRow|PublishEvent)\./;

function check(name, symbol) {
  names++;
  if (symbol.getDocumentationComment(checker).length === 0 && !WIRE.has(name.split(".").at(-1)) && !ROWS.test(name)) missing.add(name);
}

for (const entry of entries)
  for (let symbol of checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(entry)))) {
    const { name } = symbol;
    if (symbol.flags & ts.SymbolFlags.Alias) symbol = checker.getAliasedSymbol(symbol);
    check(name, symbol);
    const members = symbol.flags & (ts.SymbolFlags.Class | ts.SymbolFlags.Interface) ? [...symbol.members?.values() ?? []] : [];
    for (const member of members)
      if (isOurs(member) && !(member.flags & ts.SymbolFlags.TypeParameter) && !/^(__|#private)/.test(member.name)) check(`${name}.${member.name}`, member);
  }
if (names < 100) throw new Error(`only ${names} names were found`);
console.log([...missing].join("\n"));
