/* A strict JSON reader (RFC 8259) that keeps what JSON.parse() loses: duplicate keys, and the digits of numbers. */

/** A number as it was written. */
export class JsonNumber {
  constructor(readonly raw: string) {}
}

export type Json = string | boolean | null | JsonNumber | Json[] | { [key: string]: Json };

/** Thrown for text that is not JSON. */
export class JsonError extends Error {
  /** @field: the member of the outermost object in whose value the error is. */
  constructor(message: string, readonly field: string | undefined) {
    super(message);
  }
}

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const PLAIN = /[^"\\\u0000-\u001f]*/y;
const SPACE = /[ \t\n\r]*/y;
const ESCAPES: Readonly<Record<string, string>> = { '"': '"', "\\": "\\", "/": "/", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" };
const NO_BRACKETS = /[^"[\]{}]*/y;

/** The object that a line must be is level 0. Containers at deeper levels are skipped, as the daemon does. */
const DEPTH_MAX = 256;

class Reader {
  #at = 0;
  #field: string | undefined;

  constructor(readonly text: string) {}

  read(): Json {
    this.#space();
    const value = this.#value(this.text[this.#at] === "{" ? 0 : 1);
    this.#space();
    if (this.#at < this.text.length) throw this.#error("text follows the value");
    return value;
  }

  #error(what: string): JsonError {
    return new JsonError(`${what} (at character ${this.#at + 1})`, this.#field);
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  #space(): void {
    this.#match(SPACE);
  }

  #take(char: string): boolean {
    if (this.text[this.#at] !== char) return false;
    this.#at++;
    return true;
  }

  #expect(char: string): void {
    if (!this.#take(char)) throw this.#error(`${char} is missing`);
  }

  #value(depth: number): Json {
    this.#space();
    const char = this.text[this.#at];
    if (depth > DEPTH_MAX && (char === "{" || char === "[")) return this.#skipDeep();
    if (char === "{") return this.#object(depth);
    if (char === "[") return this.#array(depth);
    if (char === '"') return this.#string();
    for (const [word, value] of [["true", true], ["false", false], ["null", null]] as const)
      if (this.text.startsWith(word, this.#at)) {
        this.#at += word.length;
        return value;
      }
    const raw = this.#match(NUMBER);
    if (raw === undefined) throw this.#error("a value is missing");
    if (/[\w.+-]/.test(this.text[this.#at] ?? "")) throw this.#error("not a number");
    return new JsonNumber(raw);
  }

  /** Skips a container of which only brackets and strings are checked; its place in the result is taken by an empty array. */
  #skipDeep(): Json {
    let open = 0;
    do {
      this.#match(NO_BRACKETS);
      const char = this.text[this.#at];
      if (char === undefined) throw this.#error("the text ends inside an array or an object");
      if (char === '"') {
        this.#string();
        continue;
      }
      this.#at++;
      open += char === "[" || char === "{" ? 1 : -1;
    } while (open > 0);
    return [];
  }

  #object(depth: number): Json {
    const object: { [key: string]: Json } = Object.create(null) as { [key: string]: Json };
    this.#at++;
    this.#space();
    if (this.#take("}")) return object;
    do {
      this.#space();
      if (this.text[this.#at] !== '"') throw this.#error("a key is missing");
      const key = this.#string();
      if (key in object) throw this.#error(`duplicate key ${JSON.stringify(key)}`);
      this.#space();
      this.#expect(":");
      if (depth === 0) this.#field = key;
      object[key] = this.#value(depth + 1);
      if (depth === 0) this.#field = undefined;
      this.#space();
    } while (this.#take(","));
    this.#expect("}");
    return object;
  }

  #array(depth: number): Json {
    const array: Json[] = [];
    this.#at++;
    this.#space();
    if (this.#take("]")) return array;
    do {
      array.push(this.#value(depth + 1));
      this.#space();
    } while (this.#take(","));
    this.#expect("]");
    return array;
  }

  #string(): string {
    let out = "";
    this.#at++;
    for (;;) {
      out += this.#match(PLAIN) ?? "";
      if (this.#take('"')) return out;
      if (!this.#take("\\")) throw this.#error("a string has no end, or holds a control character");
      const char = this.text[this.#at++] ?? "";
      if (char === "u") {
        const digits = this.text.slice(this.#at, this.#at + 4);
        if (!/^[0-9a-fA-F]{4}$/.test(digits)) throw this.#error("\\u needs four hexadecimal digits");
        out += String.fromCharCode(parseInt(digits, 16));
        this.#at += 4;
      } else {
        const escaped = ESCAPES[char];
        if (escaped === undefined) throw this.#error("an unknown escape sequence");
        out += escaped;
      }
    }
  }
}

/** Reads one JSON text. Throws JsonError. */
export function readJson(text: string): Json {
  return new Reader(text).read();
}

/** As JSON.parse() would return it, for callers who do not need every digit. */
export function plain(value: Json): unknown {
  if (value instanceof JsonNumber) return Number(value.raw);
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
}
