/** A process of the simulated world: its time, which stands still while it is frozen and ends when it is killed. */
import type { SeededRandom, SimScheduler } from 'millrace/testing'
import type { Time } from '../../src/time.ts'

export class SimHost implements Time {
  readonly name: string
  readonly #scheduler: SimScheduler
  readonly #random: SeededRandom
  #isAlive = true
  /** What came while it was frozen. */
  #parked: (() => void)[] | undefined

  constructor(name: string, scheduler: SimScheduler, random: SeededRandom) {
    this.name = name
    this.#scheduler = scheduler
    this.#random = random.fork(name)
  }

  get isAlive(): boolean {
    return this.#isAlive
  }

  now(): number {
    return this.#scheduler.nowMs
  }

  after(ms: number, fn: () => void): () => void {
    if (ms === Number.POSITIVE_INFINITY) return () => {}
    let isCancelled = false
    const run = (): void => {
      if (!isCancelled) fn()
    }
    const cancel = this.#scheduler.schedule(ms, this.name, () => this.run(run))
    return () => {
      isCancelled = true
      cancel()
    }
  }

  soon(fn: () => void): void {
    this.#scheduler.schedule(0, this.name, () => this.run(fn))
  }

  random(): number {
    return this.#random.next()
  }

  /** Runs an event of this process: now, after the thaw, or never. */
  run(fn: () => void): void {
    if (!this.#isAlive) return
    if (this.#parked !== undefined) this.#parked.push(fn)
    else fn()
  }

  freeze(): void {
    this.#parked ??= []
  }

  thaw(): void {
    const parked = this.#parked ?? []
    this.#parked = undefined
    // In the order in which they came, one turn each.
    parked.forEach((fn, i) => {
      this.#scheduler.schedule(i * 0.03, this.name, () => this.run(fn))
    })
  }

  kill(): void {
    this.#isAlive = false
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve))
  }
}
