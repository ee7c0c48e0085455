/** Numbered things by their time, the earliest on top: a binary heap in typed arrays. `push` and `pop` are O(log n). */
export class TimeHeap {
  #times = new Float64Array(16)
  #ids = new Int32Array(16)
  #size = 0

  get size(): number {
    return this.#size
  }

  /** The earliest time; Infinity when there is none. */
  get earliest(): number {
    return this.#size === 0 ? Number.POSITIVE_INFINITY : this.#times[0]
  }

  /** `id` is a 32-bit integer. Things of equal time leave in no promised order. */
  push(time: number, id: number): void {
    if (this.#size === this.#times.length) this.#grow()
    const times = this.#times
    const ids = this.#ids
    let at = this.#size++
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (times[parent] <= time) break
      times[at] = times[parent]
      ids[at] = ids[parent]
      at = parent
    }
    times[at] = time
    ids[at] = id
  }

  /** Takes the earliest; the heap is not empty. */
  pop(): number {
    const times = this.#times
    const ids = this.#ids
    const top = ids[0]
    const size = --this.#size
    const time = times[size]
    let at = 0
    for (let child = 1; child < size; child = 2 * at + 1) {
      if (child + 1 < size && times[child + 1] < times[child]) child++
      if (times[child] >= time) break
      times[at] = times[child]
      ids[at] = ids[child]
      at = child
    }
    times[at] = time
    ids[at] = ids[size]
    return top
  }

  #grow(): void {
    const times = new Float64Array(this.#size * 2)
    const ids = new Int32Array(this.#size * 2)
    times.set(this.#times)
    ids.set(this.#ids)
    this.#times = times
    this.#ids = ids
  }
}
