/**
 * Numbered things by their time, the earliest first, in typed arrays. What is pushed in rising order lies in a run and
 * costs O(1); only what is earlier than the last of the run goes through a binary heap, at O(log n).
 */
export class TimeHeap {
  /** The run, from `#first` to `#end`. */
  #runTimes = new Float64Array(16)
  #runIds = new Int32Array(16)
  #first = 0
  #end = 0
  #times = new Float64Array(16)
  #ids = new Int32Array(16)
  #heaped = 0

  get size(): number {
    return this.#end - this.#first + this.#heaped
  }

  /** The earliest time; Infinity when there is none. */
  get earliest(): number {
    const inRun = this.#first === this.#end ? Number.POSITIVE_INFINITY : this.#runTimes[this.#first]
    return this.#heaped > 0 && this.#times[0] < inRun ? this.#times[0] : inRun
  }

  /** `id` is a 32-bit integer. Things of equal time leave in no promised order. */
  push(time: number, id: number): void {
    if (this.#first === this.#end || time >= this.#runTimes[this.#end - 1]) this.#append(time, id)
    else this.#heap(time, id)
  }

  /** Takes the earliest; there is one. */
  pop(): number {
    if (this.#heaped > 0 && (this.#first === this.#end || this.#times[0] < this.#runTimes[this.#first])) {
      return this.#unheap()
    }
    return this.#runIds[this.#first++]
  }

  #append(time: number, id: number): void {
    if (this.#end === this.#runTimes.length) {
      // Moves the run to the front, of arrays twice as long where it takes more than half of these.
      const length = this.#end - this.#first
      const capacity = length * 2 > this.#end ? this.#end * 2 : this.#end
      this.#runTimes = moved(this.#runTimes.subarray(this.#first), new Float64Array(capacity))
      this.#runIds = moved(this.#runIds.subarray(this.#first), new Int32Array(capacity))
      this.#first = 0
      this.#end = length
    }
    this.#runTimes[this.#end] = time
    this.#runIds[this.#end++] = id
  }

  #heap(time: number, id: number): void {
    if (this.#heaped === this.#times.length) {
      this.#times = moved(this.#times, new Float64Array(this.#heaped * 2))
      this.#ids = moved(this.#ids, new Int32Array(this.#heaped * 2))
    }
    const times = this.#times
    const ids = this.#ids
    let at = this.#heaped++
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

  #unheap(): number {
    const times = this.#times
    const ids = this.#ids
    const top = ids[0]
    const size = --this.#heaped
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
}

function moved<A extends Float64Array | Int32Array>(from: A, into: A): A {
  into.set(from)
  return into
}
