/** Where the results of a query lie, and its checks, from the lines that its sink wrote: see `results.ts`. */
import { type Query, tables } from './golden.ts'
import type { Measures } from './measures.ts'

/** As decimal numbers, in the order of the golden table. `lines` were written as 'measures'. */
export function checksOf(query: Query, lines: readonly string[]): string[] {
  const table = tables[query] as Measures<never>
  const rows = lines.map((line) => JSON.parse(line) as number[])
  if (table.type === 'cells') return table.checks(finalRows(rows, table.keys)).map(String)
  return Object.keys(table.measures).map((_, c) => String(rows.reduce((total, row) => total + BigInt(row[c]), 0n)))
}

/** The last row of each key. */
function finalRows(rows: readonly (readonly number[])[], keys: number): readonly (readonly number[])[] {
  if (keys === 0) return rows
  return [...new Map(rows.map((row) => [row.slice(0, keys).join(), row])).values()]
}

export function resultsFile(folder: string, query: string): string {
  return `${folder}/${query}.jsonl`
}
