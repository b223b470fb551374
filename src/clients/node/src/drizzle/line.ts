import * as orm from "drizzle-orm";

/**
 * A function of drizzle-orm that only one of its lines has, `relations` or `defineRelations`; in the other line a function that
 * returns undefined. An import by name would fail there.
 */
export function ofOneLine(name: string): unknown {
  return (orm as Record<string, unknown>)[name] ?? (() => undefined);
}
