/** Latencies counted in tenths of a millisecond, up to ten seconds; longer ones count as ten seconds. */
const PER_MS = 10
const CELLS = 100_000

export class Latencies {
  readonly #counts = new Uint32Array(CELLS)
  #count = 0
  #maxMs = 0

  get count(): number {
    return this.#count
  }

  get maxMs(): number {
    return this.#maxMs
  }

  record(ms: number): void {
    this.#counts[Math.min(CELLS - 1, Math.max(0, Math.ceil(ms * PER_MS)))]++
    this.#count++
    if (ms > this.#maxMs) this.#maxMs = ms
  }

  /** The latency that a share of all (0..1) does not exceed; NaN when there are none. */
  quantileMs(share: number): number {
    if (this.#count === 0) return Number.NaN
    let left = Math.ceil(this.#count * share)
    let cell = 0
    while ((left -= this.#counts[cell]) > 0) cell++
    return cell / PER_MS
  }
}
