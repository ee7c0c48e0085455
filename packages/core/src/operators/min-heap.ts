/** Binary heap, smallest first. push and pop are O(log n). Items that compare equal leave in no particular order. */
export class MinHeap<T> {
  readonly #items: T[] = []
  readonly #compare: (a: T, b: T) => number

  constructor(compare: (a: T, b: T) => number) {
    this.#compare = compare
  }

  get size(): number {
    return this.#items.length
  }

  peek(): T | undefined {
    return this.#items[0]
  }

  push(item: T): void {
    const items = this.#items
    let at = items.length
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (this.#compare(items[parent], item) <= 0) break
      items[at] = items[parent]
      at = parent
    }
    items[at] = item
  }

  pop(): T | undefined {
    const items = this.#items
    const smallest = items[0]
    const moved = items.pop()
    if (items.length === 0 || moved === undefined) return smallest
    const half = items.length >> 1
    let at = 0
    while (at < half) {
      let child = 2 * at + 1
      if (child + 1 < items.length && this.#compare(items[child + 1], items[child]) < 0) child++
      if (this.#compare(items[child], moved) >= 0) break
      items[at] = items[child]
      at = child
    }
    items[at] = moved
    return smallest
  }
}
