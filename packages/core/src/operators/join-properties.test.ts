/**
 * Every join equals its oracle: for inputs with disorder, equal times, batches of any size, interleaved at will, and
 * with snapshot and restore now and then.
 */
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RowBatch } from '../batch/batch.ts'
import type { CanonicalKey } from '../batch/key.ts'
import { type Edge, edge, Graph, type GraphNode } from '../graph/node.ts'
import { oracleCases } from '../testing/cases.ts'
import { type EmittedRow, openOperator } from '../testing/operator-host.ts'
import { hopping, session, tumbling } from '../window/windows.ts'
import { type AsOfInput, asOf } from './as-of.ts'
import { broadcast } from './broadcast.ts'
import { intervalJoin } from './join-interval.ts'
import {
  asOfOracle,
  hoppingOracle,
  intervalJoinOracle,
  latestOracle,
  type OracleRow,
  type OracleSide,
  sessionOracle,
  windowJoinOracle,
} from './join-oracle.ts'
import type { JoinType } from './join-types.ts'
import { type JoinWindow, windowJoin } from './join-window.ts'
import { toTable } from './table.ts'
import { joinTable } from './table-join.ts'

/** How far rows are behind the newest of their input, at most. */
const disorderMs = 4

interface Play {
  /** Rows per input, in order of arrival. */
  readonly inputs: readonly (readonly OracleRow[])[]
  /** What happens next: to which input, how many rows, and whether the operator restarts. */
  readonly turns: readonly { readonly input: number; readonly count: number; readonly restarts: boolean }[]
}

/**
 * Rows of two keys on a grid of half milliseconds, close together: ties, rows exactly at a bound and exactly at the
 * watermark are frequent. The sizes are drawn here, because fast-check's own bias makes most arrays too short to matter.
 */
function rowsArbitrary(): fc.Arbitrary<OracleRow[]> {
  const raw = fc.tuple(
    fc.constantFrom(0, 0, 0.5, 1, 1, 2, 5),
    fc.constantFrom(0, 0, 0, 0.5, 1, 3, disorderMs),
    fc.constantFrom('a', 'a', 'b'),
  )
  return manyOf(raw, 50).map((steps) => {
    let newest = 0
    return steps.map(([step, behind, key], id) => {
      newest += step
      return { time: newest - behind, key, id }
    })
  })
}

function manyOf<T>(item: fc.Arbitrary<T>, max: number): fc.Arbitrary<T[]> {
  return fc.oneof(
    { weight: 1, arbitrary: fc.array(item, { maxLength: max }) },
    { weight: 4, arbitrary: fc.array(item, { minLength: max >> 1, maxLength: max }) },
  )
}

function playArbitrary(inputs: number): fc.Arbitrary<Play> {
  return fc.record({
    inputs: fc.tuple(...Array.from({ length: inputs }, rowsArbitrary)),
    turns: manyOf(
      fc.record({
        input: fc.integer({ min: 0, max: inputs - 1 }),
        count: fc.constantFrom(1, 1, 2, 3, 7, 20),
        restarts: fc.constantFrom(false, false, false, true),
      }),
      40,
    ),
  })
}

interface Played {
  readonly out: readonly EmittedRow[]
  readonly outputs: Readonly<Record<string, readonly EmittedRow[]>>
  readonly emittedLate: number
  readonly late: number
  /** Records the operator still holds after the end. */
  readonly held: number
}

function playJoin(node: GraphNode, { inputs, turns }: Play, sides: readonly string[] = []): Played {
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
  return {
    out: outputs.out,
    outputs,
    emittedLate: emittedLate + host.emittedLate,
    late: late + host.metrics.late,
    held: host.held,
  }
}

function batchOf(rows: readonly OracleRow[]): RowBatch {
  return new RowBatch(
    rows,
    rows.map((row) => row.time),
    rows.map((row): CanonicalKey => row.key),
  )
}

/** Rows with their times as sorted texts: a multiset that can be compared. */
function multiset(rows: readonly { readonly time: number; readonly row: unknown }[]): string[] {
  return rows.map(({ time, row }) => JSON.stringify([time, row], (_, v: unknown) => v ?? null)).sort()
}

const types = fc.constantFrom<JoinType>('inner', 'left', 'outer')
const noneLeft = { late: 0, emittedLate: 0, held: 0 }

/** A node over as many sources as it takes inputs. */
function nodeOn(make: (graph: Graph, from: (name: string) => Edge) => GraphNode): GraphNode {
  const graph = new Graph('test')
  return make(graph, (name) => edge(graph.add({ kind: 'union', name, inputs: [], spec: { type: 'union' } }), 'key'))
}

function check<T>(inputs: number, options: fc.Arbitrary<T>, property: (play: Play, options: T) => void): void {
  fc.assert(fc.property(playArbitrary(inputs), options, property), { numRuns: oracleCases(60) })
}

describe('a join equals nested loops for any disorder, batches and restarts', () => {
  test('interval join', () => {
    const bound = fc.constantFrom(0, 1, 3, 8, 30)
    check(2, fc.tuple(types, bound, bound), (play, [type, before, after]) => {
      const node = nodeOn((graph, from) =>
        intervalJoin(graph, {
          name: 'j',
          left: from('l'),
          right: from('r'),
          type,
          within: [`${before}ms`, `${after}ms`],
        }),
      )
      const played = playJoin(node, play)
      const [lefts, rights] = play.inputs
      expect(multiset(played.out)).toEqual(multiset(intervalJoinOracle(lefts, rights, type, before, after)))
      expect(played).toMatchObject(noneLeft)
    })
  })

  type WindowsOf = (rows: readonly OracleRow[]) => (row: OracleRow) => readonly (readonly [number, number])[]
  test.each<[string, JoinWindow, WindowsOf]>([
    ['tumbling', tumbling('5ms'), () => hoppingOracle(5, 5)],
    ['hopping', hopping('8ms', '3ms'), () => hoppingOracle(8, 3)],
    ['session', session('2ms'), (rows) => sessionOracle(rows, 2)],
  ])('%s window join', (_name, window, windowsOf) => {
    check(2, types, (play, type) => {
      const node = nodeOn((graph, from) =>
        windowJoin(graph, { name: 'j', left: from('l'), right: from('r'), window, type }),
      )
      const played = playJoin(node, play)
      const [lefts, rights] = play.inputs
      const expected = windowJoinOracle(lefts, rights, type, windowsOf([...lefts, ...rights]))
      expect(multiset(played.out)).toEqual(multiset(expected))
      expect(played).toMatchObject(noneLeft)
    })
  })

  type Side = Omit<OracleSide, 'rows'>
  const side: fc.Arbitrary<Side> = fc.record({
    withinMs: fc.constantFrom(0, 1, 4, 20),
    required: fc.boolean(),
    fill: fc.constantFrom<OracleSide['fill']>('none', 'last', 'interpolate', { default: 'nothing' }),
  })
  test('as-of join, in order of left time per key', () => {
    check(3, fc.tuple(side, side), (play, [a, b]) => {
      const node = nodeOn((graph, from) => {
        const input = (name: string, { withinMs, required, fill }: Side): AsOfInput => ({
          edge: from(name),
          within: `${withinMs}ms`,
          required,
          ...(fill === 'none' ? {} : { fill }),
        })
        return asOf(graph, { name: 'fuse', left: from('l'), sides: { a: input('ra', a), b: input('rb', b) } })
      })
      const played = playJoin(node, play, ['unmatched'])
      const [lefts, as, bs] = play.inputs
      const expected = asOfOracle(lefts, { a: { ...a, rows: as }, b: { ...b, rows: bs } })
      expect(multiset(played.out)).toEqual(multiset(expected.out))
      expect(multiset(played.outputs.unmatched)).toEqual(
        multiset(expected.unmatched.map((row) => ({ time: row.time, row }))),
      )
      expect(played).toMatchObject({ late: 0, emittedLate: 0 })
      for (const key of ['a', 'b']) {
        const times = played.out.filter((e) => e.key === key).map((e) => e.time)
        expect(times).toEqual([...times].sort((x, y) => x - y))
      }
    })
  })

  /** Every fifth row deletes. */
  const deletes = (row: OracleRow): boolean => row.id % 5 === 4

  test('stream-table join', () => {
    check(2, fc.constantFrom('inner' as const, 'left' as const), (play, type) => {
      const node = nodeOn((graph, from) =>
        joinTable(graph, { name: 'j', stream: from('l'), table: from('t'), type, isDeleted: deletes }),
      )
      const played = playJoin(node, play)
      const [lefts, changes] = play.inputs
      const expected = lefts.flatMap((left) => {
        const latest = latestOracle(changes, left.key, left.time)
        const right = latest === undefined || deletes(latest) ? undefined : latest
        return right === undefined && type === 'inner' ? [] : [{ time: left.time, row: { key: left.key, left, right } }]
      })
      expect(multiset(played.out)).toEqual(multiset(expected))
      expect(played).toMatchObject({ late: 0, emittedLate: 0 })
    })
  })

  test('the changes of a table sum up to its latest rows', () => {
    check(1, fc.constant(undefined), (play) => {
      const node = nodeOn((graph, from) => toTable(graph, { name: 't', input: from('l'), isDeleted: deletes }))
      const played = playJoin(node, play)
      const sums = new Map<string, number>()
      for (const { row, weight } of played.out) {
        const text = JSON.stringify(row)
        sums.set(text, (sums.get(text) ?? 0) + weight)
      }
      const expected = ['a', 'b'].flatMap((key) => {
        const latest = latestOracle(play.inputs[0], key, Number.POSITIVE_INFINITY)
        return latest === undefined || deletes(latest) ? [] : [JSON.stringify(latest)]
      })
      expect([...sums].filter(([, sum]) => sum !== 0).sort()).toEqual(expected.map((text) => [text, 1]).sort())
      expect(played).toMatchObject(noneLeft)
    })
  })

  test('broadcast: a row meets what was sent up to its time, folded in order', () => {
    const fold = (state: number, row: OracleRow): number => (state * 31 + row.id + 1) % 1_000_003
    check(2, fc.constant(undefined), (play) => {
      const functions = { initial: () => 0, update: fold, join: ({ id }: OracleRow, state: number) => ({ id, state }) }
      const node = nodeOn((graph, from) =>
        broadcast(graph, { name: 'b', main: from('l'), small: { ...from('s'), partitioning: 'broadcast' }, functions }),
      )
      const played = playJoin(node, play)
      const [mains, smalls] = play.inputs
      const expected = mains.map(({ time, id }) => {
        const seen = smalls.filter((small) => small.time <= time).sort((a, b) => a.time - b.time)
        return { time, row: { id, state: seen.reduce(fold, 0) } }
      })
      expect(multiset(played.out)).toEqual(multiset(expected))
      expect(played).toMatchObject({ late: 0, emittedLate: 0 })
    })
  })
})
