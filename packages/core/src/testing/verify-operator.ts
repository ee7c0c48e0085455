/**
 * Checks one operator from one timeline: plays it item by item against the expected output, then in every other way
 * that must not change the result, and reports the first difference.
 *
 * Two outputs are equal when they hold the same rows with the same times, keys and weights, and each key's rows in the
 * same order (DESIGN section 4, Equality).
 */
import { isDeepStrictEqual } from 'node:util'
import { canonicalKey, type Key, keyGroupOf, ownerOfGroup } from '../batch/key.ts'
import { UsageError } from '../errors.ts'
import type { GraphNode } from '../graph/node.ts'
import {
  type CreateOperator,
  type EmittedRow,
  type OperatorHost,
  type OperatorHostOptions,
  openOperator,
  type TimedRow,
} from './operator-host.ts'
import { seededRandom } from './sim-random.ts'
import { describeItem, show, type TimelineItem } from './timeline.ts'

export interface VerifyOptions extends Omit<OperatorHostOptions, 'instance' | 'isFull' | 'time' | 'key'> {
  /**
   * 'free' (default): between two watermarks it does not matter which input a row came from first, so the rows of an
   * input may arrive as one batch. 'kept': it does, as in a stream-table join; only neighbours become one batch.
   */
  readonly inputOrder?: 'free' | 'kept'
  /** 'dropped': rows far behind the watermark are inserted, must change nothing and must be counted late. */
  readonly late?: 'dropped'
}

/** Rows per output; an array means `out`. Keys that an expectation leaves out are not compared. */
export type ExpectedOutput = readonly TimedRow[] | Readonly<Record<string, readonly TimedRow[]>>

export interface ExpectOptions {
  /** 'kept' (default): rows come in this order. 'any': as a multiset. */
  readonly order?: 'kept' | 'any'
  /** Counters after the timeline, e.g. `{ late: 1 }`. */
  readonly metrics?: Readonly<
    Partial<Record<'late' | 'dropped' | 'dead' | 'filtered' | 'merged' | 'deduplicated', number>>
  >
}

export interface OperatorVerification {
  /** What happens, in order. */
  given(...items: (TimelineItem | readonly TimelineItem[])[]): {
    /** @throws UsageError `OPERATOR_DIFFERS` with the first difference */
    expect(expected: ExpectedOutput, options?: ExpectOptions): Promise<void>
  }
}

/**
 * Verifies an operator.
 * @example
 * await verifyOperator(ctx => ({ process: batch => ctx.out.emitBatch(batch) }))
 *   .given(at(1_000, 'a', 'k'), watermark(5_000), end())
 *   .expect([[1_000, 'a', 'k']])
 */
export function verifyOperator(make: CreateOperator | GraphNode, options: VerifyOptions = {}): OperatorVerification {
  return {
    given: (...items) => {
      const timeline = items.flat()
      return {
        async expect(expected, expectOptions = {}) {
          const outputs = Array.isArray(expected)
            ? { out: expected }
            : (expected as Record<string, readonly TimedRow[]>)
          await verify(make, options, timeline, outputs, expectOptions)
        },
      }
    },
  }
}

/** What one way of playing gave. */
interface Played {
  readonly outputs: Map<string, EmittedRow[]>
  readonly metrics: Record<string, number>
  readonly emittedLate: number
}

const comparedMetrics = ['late', 'dropped', 'dead', 'filtered', 'deduplicated'] as const

async function verify(
  make: CreateOperator | GraphNode,
  options: VerifyOptions,
  timeline: readonly TimelineItem[],
  expected: Readonly<Record<string, readonly TimedRow[]>>,
  expectOptions: ExpectOptions,
): Promise<void> {
  const step = options.step ?? (typeof make === 'function' ? 'operator' : make.name)
  const names = new Set(['out', ...Object.keys(expected), ...(options.outputs ?? []), ...sideOutputs(make)])
  const play = (how: Partial<Way>): Promise<Played> =>
    playTimeline(make, options, [...names], { items: how.items ?? timeline, ...how })
  const fail = (way: string, difference: string): never => {
    const shown = timeline.map((item) => `    ${describeItem(item)}`).join('\n')
    throw new UsageError('OPERATOR_DIFFERS', `${way}: ${difference}\n  timeline:\n${shown}`, { step })
  }

  const first = await play({})
  for (const name of names) {
    const got = first.outputs.get(name) as EmittedRow[]
    const wanted = expected[name] ?? (name === 'out' || name in expected ? [] : undefined)
    if (wanted === undefined) continue
    const difference = differenceToExpected(name, wanted, got, expectOptions.order ?? 'kept')
    if (difference !== undefined) fail('item by item', difference)
  }
  for (const [name, wanted] of Object.entries(expectOptions.metrics ?? {})) {
    if (first.metrics[name] !== wanted) {
      fail('item by item', `counter ${name} is ${first.metrics[name]}, expected ${wanted}.`)
    }
  }
  const hasLateRows = isAnyRowLate(timeline)
  if (first.emittedLate > 0 && !hasLateRows) {
    fail('item by item', `${first.emittedLate} rows were emitted behind the watermark already sent on.`)
  }

  const same = (way: string, got: Played, late = 0): void => {
    for (const name of names) {
      if (late > 0 && name === 'late') continue
      const difference = differenceBetween(name, first.outputs.get(name)!, got.outputs.get(name)!)
      if (difference !== undefined) fail(way, difference)
    }
    for (const name of comparedMetrics) {
      const wanted = first.metrics[name] + (name === 'late' ? late : 0)
      if (got.metrics[name] !== wanted) fail(way, `counter ${name} is ${got.metrics[name]}, item by item ${wanted}.`)
    }
  }
  same('one batch per input', await play({ items: timeline, batches: options.inputOrder ?? 'free' }))
  same('snapshot and restore after every item', await play({ restores: true }))
  for (const seed of [1, 2, 3]) same(`full output now and then (seed ${seed})`, await play({ fullSeed: seed }))
  const idle = withIdleInputs(timeline)
  if (idle.length > timeline.length) same('idle inputs that do not matter', await play({ items: idle }))
  if (timeline.every((item) => item.type !== 'row' || item.key !== undefined)) {
    same('one instance, then two, then one', await play({ restores: true, rescales: true }))
  }
  if (options.late === 'dropped') {
    const { items, late } = withLateRows(timeline)
    same('late rows inserted', await play({ items }), late)
  }
}

/** One way of playing a timeline. */
interface Way {
  readonly items: readonly TimelineItem[]
  readonly batches?: 'free' | 'kept'
  readonly restores?: boolean
  readonly rescales?: boolean
  readonly fullSeed?: number
}

async function playTimeline(
  make: CreateOperator | GraphNode,
  options: VerifyOptions,
  names: readonly string[],
  way: Way,
): Promise<Played> {
  let isFull = false
  const random = seededRandom(way.fullSeed ?? 0)
  const played: Played = { outputs: new Map(names.map((name) => [name, []])), metrics: {}, emittedLate: 0 }
  let emittedLate = 0
  let hosts = [openOperator(make, { ...options, isFull: () => isFull })]
  const collect = (host: OperatorHost): void => {
    for (const name of names) played.outputs.get(name)?.push(...host.take(name))
  }
  const retire = (host: OperatorHost): void => {
    for (const [name, n] of Object.entries(host.metrics)) {
      if (typeof n === 'number') played.metrics[name] = (played.metrics[name] ?? 0) + n
    }
    emittedLate += host.emittedLate
    host.close()
  }
  try {
    for (const group of groupItems(way.items, way.batches)) {
      const head = group[0]
      if (way.fullSeed !== undefined) {
        isFull = head.type === 'row' || head.type === 'watermark' ? random.chance(0.6) : false
        if (!isFull) for (const host of hosts) await host.settle()
      }
      for (const host of hosts) {
        await applyItems(host, group, hosts.length)
        if (way.fullSeed === undefined) await host.settle()
        collect(host)
      }
      if (way.restores !== true || hosts.some((host) => host.waiting > 0)) continue
      const saved = hosts.map((host) => host.snapshot())
      for (const host of hosts) collect(host)
      const count = way.rescales === true ? 3 - hosts.length : 1
      const previous = hosts
      hosts = Array.from({ length: count }, (_, index) => previous[0].restore(saved, { instance: { index, count } }))
      for (const host of previous) retire(host)
    }
    isFull = false
    for (const host of hosts) {
      await host.settle()
      collect(host)
    }
  } finally {
    for (const host of hosts) retire(host)
  }
  return { ...played, emittedLate }
}

async function applyItems(host: OperatorHost, group: readonly TimelineItem[], instances: number): Promise<void> {
  const item = group[0]
  switch (item.type) {
    case 'row': {
      const rows = (group as readonly (TimelineItem & { type: 'row' })[])
        .filter((r) => instances === 1 || r.key === undefined || ownsKey(host, r.key, instances))
        .map((r): TimedRow => (r.key === undefined ? [r.time, r.row] : [r.time, r.row, r.key]))
      if (rows.length > 0) host.send(rows, item.input)
      break
    }
    case 'watermark':
      host.watermark(item.time, item.input)
      break
    case 'idle':
      host.idle(item.input)
      break
    case 'advance':
      host.advance(item.ms)
      break
    case 'settle':
      await host.settle()
  }
}

function ownsKey(host: OperatorHost, key: Key, count: number): boolean {
  return ownerOfGroup(keyGroupOf(canonicalKey(key)), count) === host.instance.index
}

/** Rows that travel together, as groups; every other item is a group of its own. */
function groupItems(items: readonly TimelineItem[], batches: 'free' | 'kept' | undefined): TimelineItem[][] {
  const groups: TimelineItem[][] = []
  let open: TimelineItem[][] = []
  for (const item of items) {
    if (item.type !== 'row' || batches === undefined) {
      open = []
      groups.push([item])
      continue
    }
    const candidates = batches === 'kept' ? open.slice(-1) : open
    const isKeyed = item.key !== undefined
    const group = candidates.find((g) => {
      const head = g[0] as TimelineItem & { type: 'row' }
      return head.input === item.input && (head.key !== undefined) === isKeyed
    })
    if (group !== undefined) group.push(item)
    else {
      const fresh = [item]
      open.push(fresh)
      groups.push(fresh)
    }
  }
  return groups
}

function isAnyRowLate(items: readonly TimelineItem[]): boolean {
  const marks: number[] = []
  let all = Number.NEGATIVE_INFINITY
  return items.some((item) => {
    if (item.type === 'watermark') {
      if (item.input === undefined) all = Math.max(all, item.time)
      else marks[item.input] = item.time
    }
    return item.type === 'row' && item.time < Math.max(all, marks[item.input] ?? Number.NEGATIVE_INFINITY)
  })
}

/** After each watermark of one input: the inputs further ahead fall idle, which moves no minimum. */
function withIdleInputs(items: readonly TimelineItem[]): TimelineItem[] {
  const inputs = Math.max(0, ...items.map((item) => ('input' in item ? (item.input ?? 0) : 0))) + 1
  const marks = new Array<number>(inputs).fill(Number.NEGATIVE_INFINITY)
  const out: TimelineItem[] = []
  for (const item of items) {
    out.push(item)
    if (item.type !== 'watermark') continue
    for (let i = 0; i < inputs; i++) if (item.input === undefined || item.input === i) marks[i] = item.time
    const lowest = Math.min(...marks)
    for (let i = 0; i < inputs; i++) {
      if (marks[i] > lowest && Number.isFinite(marks[i]))
        out.push({ type: 'idle', input: i }, { ...item, input: i, time: marks[i] })
    }
  }
  return out
}

/** After each finite watermark a copy of the first row of every input, a year behind. */
function withLateRows(items: readonly TimelineItem[]): { items: TimelineItem[]; late: number } {
  const first = items.find((item) => item.type === 'row')
  const out: TimelineItem[] = []
  let late = 0
  for (const item of items) {
    out.push(item)
    if (item.type !== 'watermark' || item.input !== undefined || !Number.isFinite(item.time)) continue
    if (first?.type !== 'row') continue
    out.push({ ...first, time: item.time - 366 * 86_400_000 })
    late++
  }
  return { items: out, late }
}

function differenceToExpected(
  output: string,
  expected: readonly TimedRow[],
  got: readonly EmittedRow[],
  order: 'kept' | 'any',
): string | undefined {
  const matches = (wanted: TimedRow, row: EmittedRow): boolean =>
    wanted[0] === row.time &&
    isDeepStrictEqual(wanted[1], row.row) &&
    (wanted.length < 3 || isDeepStrictEqual(wanted[2], row.key))
  const left = [...got]
  for (let i = 0; i < expected.length; i++) {
    const found = order === 'any' ? left.findIndex((row) => matches(expected[i], row)) : 0
    if (found >= 0 && found < left.length && matches(expected[i], left[found])) left.splice(found, 1)
    else {
      const instead = order === 'any' ? left[0] : left[found]
      return describeDifference(`row ${i} of output "${output}"`, showTimed(expected[i]), instead && showRow(instead))
    }
  }
  if (left.length === 0) return undefined
  return describeDifference(`row ${expected.length} of output "${output}"`, undefined, showRow(left[0]))
}

function differenceBetween(
  output: string,
  wanted: readonly EmittedRow[],
  got: readonly EmittedRow[],
): string | undefined {
  const byKey = (rows: readonly EmittedRow[]): Map<string, EmittedRow[]> => Map.groupBy(rows, (row) => show(row.key))
  const wantedByKey = byKey(wanted)
  const gotByKey = byKey(got)
  for (const key of new Set([...wantedByKey.keys(), ...gotByKey.keys()])) {
    const a = wantedByKey.get(key) ?? []
    const b = gotByKey.get(key) ?? []
    for (let i = 0; i < Math.max(a.length, b.length); i++) {
      if (isDeepStrictEqual(a[i], b[i])) continue
      const where = `row ${i} of output "${output}"${key === 'undefined' ? '' : `, key ${key}`}`
      return describeDifference(where, a[i] && showRow(a[i]), b[i] && showRow(b[i]))
    }
  }
  return undefined
}

function describeDifference(where: string, expected: string | undefined, got: string | undefined): string {
  return `${where} differs.\n    expected  ${expected ?? 'nothing more'}\n    got       ${got ?? 'nothing more'}`
}

function showTimed(row: TimedRow): string {
  return `[${row.map(show).join(', ')}]`
}

function showRow(row: EmittedRow): string {
  const key = row.key === undefined ? '' : `, ${show(row.key)}`
  return `[${row.time}, ${show(row.row)}${key}]${row.weight === 1 ? '' : ' weight -1'}`
}

function sideOutputs(make: CreateOperator | GraphNode): readonly string[] {
  return typeof make === 'function' || make.spec.type !== 'operator' ? [] : (make.spec.outputs ?? [])
}
