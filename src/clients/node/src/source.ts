/** What a source gave: a record, or its end, with the error that it threw if it did. */
export type Given<R> = { record: R } | { end: true; failure?: { error: unknown } };

/** A caller's records, read one at a time, without waiting for a source that has none ready. */
export class Source<R> {
  readonly #iterator: Iterator<R> | AsyncIterator<R>;
  readonly #onReady: () => void;
  #isPulling = false;
  #hasEnded = false;
  #given: Given<R> | undefined;

  constructor(records: Iterable<R> | AsyncIterable<R>, onReady: () => void) {
    const iterable = records as Partial<AsyncIterable<R>> & Iterable<R>;
    this.#iterator = iterable[Symbol.asyncIterator]?.() ?? iterable[Symbol.iterator]();
    this.#onReady = onReady;
  }

  /** What comes next, or undefined if the source does not have it yet: onReady() is called once it has. */
  take(): Given<R> | undefined {
    const given = this.#given;
    this.#given = undefined;
    if (!given && !this.#isPulling) void this.#pull();
    return given;
  }

  async #pull(): Promise<void> {
    this.#isPulling = true;
    try {
      const next = await this.#iterator.next();
      this.#given = next.done ? { end: true } : { record: next.value };
    } catch (error) {
      this.#given = { end: true, failure: { error } };
    }
    this.#isPulling = false;
    this.#hasEnded = "end" in this.#given;
    this.#onReady();
  }

  /** Nothing more is taken. A source that is asked for a record returns only after that, which may be never: it is not waited for. */
  async close(): Promise<void> {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    const returned = Promise.resolve(this.#iterator.return?.());
    if (this.#isPulling) returned.catch(() => {});
    else await returned;
  }
}
