/**
 * Where the results of a query go: a file, exactly once, with a line for each batch.
 *
 * The benchmark's own sinks throw everything away. These do the least that lets results be checked after a crash too:
 * 'measures' writes sums over the changes of a batch, or the measures of each row where rows replace each other.
 * 'changes' writes each row as JSON behind + or -, for tests and for eyes. Both files are committed as that of
 * `jsonLines` is, whose committer they share.
 */
import { jsonLines } from '@millrace/connectors/file'
import type { Sink } from 'millrace'
import type { Batch, SinkCommitter, SinkContext } from 'millrace/connector'
import { resultsFile } from './checks.ts'
import { type Query, tables } from './golden.ts'
import type { Measures } from './measures.ts'
import { workload } from './workload.ts'

type RowOf<M> = M extends Measures<infer Row> ? Row : never

interface Committing {
  committer(ctx: SinkContext): Promise<SinkCommitter> | SinkCommitter
}

/** The sink of a query. */
export function results<Q extends Query>(query: Q): Sink<RowOf<(typeof tables)[Q]>> {
  const { folder, write } = workload
  const path = resultsFile(folder, query)
  const file = jsonLines<unknown>({ path }) as Committing
  const encode = write === 'changes' ? changes : measuring(tables[query] as Measures<never>)
  return {
    kind: 'nexmark.results',
    guarantee: 'staged',
    takesChanges: true,
    describe: () => ({ path, write }),
    open: () => ({ write: (batch) => Buffer.from(encode(batch as Batch<never>)), close() {} }),
    committer: (ctx) => file.committer(ctx),
  }
}

function changes(batch: Batch<never>): string {
  let text = ''
  for (let i = 0; i < batch.length; i++)
    text += `${batch.weights?.[i] === -1 ? '-' : '+'}${JSON.stringify(batch.row(i))}\n`
  return text
}

function measuring(measures: Measures<never>): (batch: Batch<never>) => string {
  if (measures.type === 'sums') {
    const columns = Object.values(measures.measures)
    return (batch) => `${JSON.stringify(columns.map((measure) => sum(batch, measure)))}\n`
  }
  const cells = Object.values(measures.cells)
  return (batch) => {
    let text = ''
    for (let i = 0; i < batch.length; i++) text += `${JSON.stringify(cells.map((cell) => cell(batch.row(i))))}\n`
    return text
  }
}

/** Of a batch, so that it stays below 2^53: 4096 rows at most, of values up to 2^41. */
function sum(batch: Batch<never>, measure: (row: never) => number): number {
  const { length, weights } = batch
  let total = 0
  for (let i = 0; i < length; i++) {
    const value = measure(batch.row(i))
    total += weights === undefined ? value : weights[i] * value
  }
  return total
}
