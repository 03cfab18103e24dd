// The last rows of something endless. Adding never grows it and never moves what is there.
export class Ring<T> {
  private readonly rows: (T | undefined)[];
  private next = 0;
  count = 0;

  constructor(readonly capacity: number) {
    this.rows = new Array<T | undefined>(capacity);
  }

  add(row: T): void {
    this.rows[this.next] = row;
    this.next = (this.next + 1) % this.capacity;
    if (this.count < this.capacity) this.count += 1;
  }

  /** The row that came `index` before the last one. */
  at(index: number): T | undefined {
    if (index < 0 || index >= this.count) return undefined;
    return this.rows[(this.next - 1 - index + 2 * this.capacity) % this.capacity];
  }

  /** The rows of now, the last first. */
  copy(): T[] {
    const rows: T[] = [];
    for (let index = 0; index < this.count; index += 1) rows.push(this.at(index) as T);
    return rows;
  }

  clear(): void {
    this.rows.fill(undefined);
    this.next = 0;
    this.count = 0;
  }
}
