/** What a benchmark is to `main.ts`. */
import type { Table } from './report.ts'

export interface Measured {
  readonly tables: readonly Table[]
  /** The measurements the tables were made of. */
  readonly data: unknown
}

export interface Bench {
  /** One line for the list of benchmarks. */
  readonly what: string
  /** `isFull`: longer and more often. Otherwise within a quarter of three minutes. */
  measure(isFull: boolean): Promise<Measured>
}
