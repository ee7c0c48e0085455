/** For tests: the final table of a query from the changes that `--output` wrote. */
import { existsSync, readFileSync } from 'node:fs'
import { resultsFile } from './checks.ts'
import { type Query, tables } from './golden.ts'

/**
 * The changes added up, or the last row of each key, in no promised order.
 * @throws Error when a row is taken back that was not given
 */
export function finalTable(query: Query, folder: string): object[] {
  const file = resultsFile(folder, query)
  const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : []
  const table = tables[query]
  if (table.type === 'cells' && table.keys > 0) {
    const cells = Object.values(table.cells).slice(0, table.keys) as ((row: never) => number)[]
    const rows = lines.map((line) => JSON.parse(line.slice(1)) as object)
    return [...new Map(rows.map((row) => [cells.map((cell) => cell(row as never)).join(), row])).values()]
  }
  const counts = new Map<string, number>()
  for (const line of lines) {
    const row = line.slice(1)
    const count = (counts.get(row) ?? 0) + (line[0] === '-' ? -1 : 1)
    if (count === 0) counts.delete(row)
    else counts.set(row, count)
  }
  return [...counts].flatMap(([row, count]) => {
    if (count < 0) throw new Error(`${query} takes back a row that it has not given: ${row}`)
    return Array.from({ length: count }, () => JSON.parse(row) as object)
  })
}
