/**
 * Plays generated inputs through a join: with disorder, equal times, batches of any size, inputs interleaved at will, and
 * snapshot and restore now and then. For tests.
 */
import * as fc from 'fast-check'
import { RowBatch } from '../batch/batch.ts'
import type { CanonicalKey } from '../batch/key.ts'
import type { GraphNode } from '../graph/node.ts'
import { type EmittedRow, openOperator } from '../testing/operator-host.ts'
import type { OracleRow } from './join-oracle.ts'

/** How far rows are behind the newest of their input, at most. */
export const disorderMs = 40

export interface Play {
  /** Rows per input, in order of arrival. */
  readonly inputs: readonly (readonly OracleRow[])[]
  /** What happens next: to which input, how many rows, and whether the operator restarts. */
  readonly turns: readonly { readonly input: number; readonly count: number; readonly restarts: boolean }[]
}

/** Rows of few keys on a coarse grid of times, so that ties, duplicates and borders are frequent. */
function rowsArbitrary(): fc.Arbitrary<OracleRow[]> {
  const raw = fc.tuple(
    fc.integer({ min: 0, max: 25 }),
    fc.integer({ min: 0, max: disorderMs }),
    fc.constantFrom('a', 'b', 'c'),
  )
  return fc.array(raw, { maxLength: 40 }).map((steps) => {
    let newest = 0
    return steps.map(([step, behind, key], id) => {
      newest += step % 3 === 0 ? 0 : step
      return { time: newest - (behind % 4 === 0 ? behind : 0), key, id }
    })
  })
}

export function playArbitrary(inputs: number): fc.Arbitrary<Play> {
  return fc.record({
    inputs: fc.tuple(...Array.from({ length: inputs }, rowsArbitrary)),
    turns: fc.array(
      fc.record({
        input: fc.integer({ min: 0, max: inputs - 1 }),
        count: fc.constantFrom(1, 1, 2, 7, 40),
        restarts: fc.constantFrom(false, false, false, true),
      }),
      { maxLength: 60 },
    ),
  })
}

export interface Played {
  readonly out: readonly EmittedRow[]
  readonly outputs: Readonly<Record<string, readonly EmittedRow[]>>
  readonly emittedLate: number
  readonly late: number
  /** Records the operator still holds after the end. */
  readonly held: number
}

export function playJoin(node: GraphNode, { inputs, turns }: Play, sides: readonly string[] = []): Played {
  let host = openOperator(node)
  const names = ['out', 'late', ...sides]
  const outputs: Record<string, EmittedRow[]> = Object.fromEntries(names.map((name) => [name, []]))
  const sent = inputs.map(() => 0)
  const newest = inputs.map(() => Number.NEGATIVE_INFINITY)
  let emittedLate = 0
  let late = 0
  const collect = (): void => {
    for (const name of names) outputs[name].push(...host.take(name))
  }
  const send = (input: number, count: number): void => {
    const rows = inputs[input].slice(sent[input], sent[input] + count)
    sent[input] += rows.length
    if (rows.length === 0) return
    host.sendBatch(batchOf(rows), input)
    newest[input] = Math.max(newest[input], ...rows.map((row) => row.time))
    host.watermark(newest[input] - disorderMs, input)
    collect()
  }
  for (const { input, count, restarts } of turns) {
    send(input, count)
    if (!restarts) continue
    emittedLate += host.emittedLate
    late += host.metrics.late
    host = host.restore(host.snapshot())
  }
  for (let input = 0; input < inputs.length; input++) {
    send(input, inputs[input].length)
    host.end(input)
    collect()
  }
  return { out: outputs.out, outputs, emittedLate: emittedLate + host.emittedLate, late: late + host.metrics.late, held: host.held }
}

function batchOf(rows: readonly OracleRow[]): RowBatch {
  return new RowBatch(
    rows,
    rows.map((row) => row.time),
    rows.map((row): CanonicalKey => row.key),
  )
}

/** Rows with their times as sorted texts: a multiset that can be compared. */
export function multiset(rows: readonly { readonly time: number; readonly row: unknown }[]): string[] {
  return rows.map(({ time, row }) => JSON.stringify([time, row], (_, v: unknown) => v ?? null)).sort()
}
