/**
 * What of a query's results is compared, and what it must be after the first million events (seeds 42, 3, 7; rate
 * 10,000): the table of spec/nexmark.md section 9, which Java computed.
 *
 * Results are changes. Where every change says what it takes back (weight -1), or none does, sums over the changes are
 * sums over the final table. Where a row replaces the one with its key, the last one of each key counts.
 */

/** A measure of a row: a whole number. */
export type Measure<Row> = (row: Row) => number

/** Sums over changes. */
export interface Sums<Row> {
  readonly type: 'sums'
  readonly measures: Readonly<Record<string, Measure<Row>>>
  readonly golden: readonly string[]
}

/** Measures row by row; the first `keys` of them are the row's key, and without any every row counts. */
export interface Cells<Row> {
  readonly type: 'cells'
  readonly keys: number
  readonly cells: Readonly<Record<string, Measure<Row>>>
  /** The measures of the final table. */
  readonly checks: (rows: readonly (readonly number[])[]) => readonly bigint[]
  readonly golden: readonly string[]
}

export type Measures<Row> = Sums<Row> | Cells<Row>

/** Number of events that the golden results are of, and the seeds. */
export const GOLDEN = { events: 1_000_000, seeds: [42, 3, 7], rate: 10_000 } as const

export function sums<Row>(measures: Sums<Row>['measures'], golden: readonly string[]): Measures<Row> {
  return { type: 'sums', measures, golden }
}

export function cells<Row>(
  keys: number,
  measures: Cells<Row>['cells'],
  checks: Cells<Row>['checks'],
  golden: readonly string[],
): Measures<Row> {
  return { type: 'cells', keys, cells: measures, checks, golden }
}

/** Sum of a column; exact also beyond 2^53. */
export function sumOf(rows: readonly (readonly number[])[], column: number): bigint {
  return rows.reduce((total, row) => total + BigInt(row[column]), 0n)
}
