/**
 * Ids of asynchronous calls. A record that is read again after a crash is called with the id it had before, so that the
 * other side can recognise the call; two different calls never share one.
 *
 * The id is the record's position in its source, with its key, and a number where one position gave several records
 * (flatMap). Those are counted within an epoch: all records of one position lie between the same two barriers.
 * A record without a position (a result of an aggregation) is known by key, time and the number of the call.
 */
import type { Batch } from '../batch/batch.ts'

export class CallIds {
  readonly #step: string
  readonly #instance: string
  #seen = new Map<string, number>()

  constructor(step: string, instance: string) {
    this.#step = step
    this.#instance = instance
  }

  /** Id of the call for row `i`; `sequence` numbers the calls of this instance and is never used twice. */
  next(batch: Batch, i: number, sequence: number): string {
    const { origin } = batch
    const key = batch.keys === undefined ? '' : `/${typeof batch.keys[i]}:${String(batch.keys[i])}`
    if (origin === undefined) return `${this.#step}${key}/${batch.times[i]}/${this.#instance}-${sequence}`
    const position = `${this.#step}/${origin.source}/${origin.partition}/${origin.at(i)}${key}`
    const count = (this.#seen.get(position) ?? 0) + 1
    this.#seen.set(position, count)
    return count === 1 ? position : `${position}#${count}`
  }

  /** A barrier passed: the positions seen so far do not come again. */
  nextEpoch(): void {
    if (this.#seen.size > 0) this.#seen = new Map()
  }
}
