/** Results that Java computed over the first million events (spec/nexmark.md section 9), and how ours are summed up. */

export interface Check {
  /** Sums over the result rows. */
  readonly sums: (rows: readonly Record<string, number>[]) => Readonly<Record<string, number>>
  readonly golden: Readonly<Record<string, number>>
}

/** Number of events that the golden results are of. */
export const GOLDEN_EVENTS = 1_000_000

const sum = (rows: readonly Record<string, number>[], field: string): number =>
  rows.reduce((total, row) => total + row[field], 0)

export const checks = {
  /** Writes nothing. */
  scan: { sums: () => ({}), golden: {} },
  q5: {
    sums: (rows) => ({
      windows: new Set(rows.map((row) => row.end)).size,
      rows: rows.length,
      num: sum(rows, 'num'),
      auction: sum(rows, 'auction'),
    }),
    golden: { windows: 54, rows: 54, num: 44_612, auction: 1_678_600 },
  },
  q7: {
    sums: (rows) => ({ rows: rows.length, price: sum(rows, 'price'), auction: sum(rows, 'auction') }),
    golden: { rows: 10, price: 999_857_276, auction: 319_509 },
  },
} as const satisfies Record<string, Check>

export type Query = keyof typeof checks
