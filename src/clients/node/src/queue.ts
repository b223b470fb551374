/** First in, first out, however long it becomes: shift() of a long array would move all of it. */
export class Fifo<T> {
  #items: (T | undefined)[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  get first(): T | undefined {
    return this.#items[this.#head];
  }

  get last(): T | undefined {
    return this.length > 0 ? this.#items.at(-1) : undefined;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  shift(): T | undefined {
    const item = this.#items[this.#head];
    if (this.length === 0) return undefined;
    this.#items[this.#head++] = undefined;
    if (this.#head > 1000 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }
}

/** What was pushed and not taken yet, as an async iterator. */
export class Queue<T> implements AsyncIterableIterator<T> {
  readonly #items = new Fifo<T>();
  #ended = false;
  #wake: (() => void) | undefined;
  onTake: () => void = () => {};

  get length(): number {
    return this.#items.length;
  }

  push(item: T): void {
    this.#items.push(item);
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<T, undefined>> {
    while (this.#items.length === 0 && !this.#ended) await new Promise<void>((resolve) => { this.#wake = resolve; });
    this.#wake = undefined;
    if (this.#items.length === 0) return { done: true, value: undefined };
    const value = this.#items.shift() as T;
    this.onTake();
    return { done: false, value };
  }

  async return(): Promise<IteratorResult<T, undefined>> {
    this.end();
    return { done: true, value: undefined };
  }
}
