/** A benchmark's result: tables for people, the same as JSON for machines. */
import { type Environment, environmentLine } from './environment.ts'

export interface Table {
  readonly title: string
  readonly head: readonly string[]
  readonly rows: readonly (readonly string[])[]
  /** What a reader must know to read the figures. */
  readonly notes?: readonly string[]
}

export interface BenchReport {
  readonly bench: string
  /** Before and after: the machine may have become busy meanwhile. */
  readonly environments: readonly [before: Environment, after: Environment]
  readonly tables: readonly Table[]
  /** The measurements the tables were made of. */
  readonly data: unknown
}

export function markdown({ bench, environments: [before, after], tables }: BenchReport): string {
  const load = before.load.toFixed(1) === after.load.toFixed(1) ? '' : ` (${after.load.toFixed(1)} at the end)`
  return [`## ${bench}`, '', environmentLine(before) + load, '', ...tables.flatMap(tableLines)].join('\n')
}

function tableLines({ title, head, rows, notes = [] }: Table): string[] {
  const widths = head.map((cell, c) => Math.max(cell.length, ...rows.map((row) => row[c].length)))
  const line = (cells: readonly string[]): string => {
    return `| ${cells.map((cell, c) => (c === 0 ? cell.padEnd(widths[c]) : cell.padStart(widths[c]))).join(' | ')} |`
  }
  const rule = `|${widths.map((width, c) => (c === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`
  return [`### ${title}`, '', line(head), rule, ...rows.map(line), '', ...notes.flatMap((note) => [note, ''])]
}
