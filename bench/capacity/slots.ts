/**
 * The memory that points lie in. A point is passed through the flow by reference: its record names a slot, which is free
 * again when the point is done. Free slots are used in turn, as a camera's ring of buffers is, so that each of them
 * comes to be used; their memory is taken when they are first used.
 */

export class Slots {
  readonly #sizeBytes: number
  readonly #buffers: (Uint8Array | undefined)[]
  readonly #free: number[]
  #waiting: (() => void) | undefined
  #used = 0
  #inUseMax = 0
  #rssMaxBytes = 0

  constructor(count: number, sizeBytes: number) {
    this.#sizeBytes = sizeBytes
    this.#buffers = new Array(count).fill(undefined)
    this.#free = this.#buffers.map((_, slot) => slot)
  }

  /** Writes a point to a free slot; waits for one where there is none. */
  async take(): Promise<number> {
    while (this.#free.length === 0) {
      await new Promise<void>((resolve) => {
        this.#waiting = resolve
      })
    }
    const slot = this.#free.shift() as number
    if (this.#buffers[slot] === undefined) this.#used++
    // Every page is written to, so that it is memory and not only address space.
    const buffer = (this.#buffers[slot] ??= new Uint8Array(this.#sizeBytes))
    buffer.fill(slot + 1)
    this.#inUseMax = Math.max(this.#inUseMax, this.#buffers.length - this.#free.length)
    this.#rssMaxBytes = Math.max(this.#rssMaxBytes, process.memoryUsage.rss())
    return slot
  }

  release(slot: number): void {
    this.#free.push(slot)
    this.#waiting?.()
    this.#waiting = undefined
  }

  /** Memory of the slots that were used so far; none is given back. */
  get bytes(): number {
    return this.#used * this.#sizeBytes
  }

  /** Most slots in use at once. */
  get inUseMax(): number {
    return this.#inUseMax
  }

  /** Largest resident memory of the process, looked at after every write to a slot. */
  get rssMaxBytes(): number {
    return this.#rssMaxBytes
  }
}
