/**
 * As-of join, for fusion: each left row meets, per side, the latest row that is not younger than itself.
 * This file checks the options and adds the node; `as-of-operator.ts` does the work.
 */
import { originalKey } from '../batch/key.ts'
import { UsageError } from '../errors.ts'
import type { Edge, Graph, GraphNode } from '../graph/node.ts'
import { durationMs, formatMs, positiveDurationMs } from '../time/duration.ts'
import { AsOfOperator, type AsOfSettings } from './as-of-operator.ts'
import type { FillPolicy, RightSide } from './as-of-right.ts'
import type { AsOfJoinOptions, AsOfSide } from './as-of-types.ts'
import { nodeOptions, type StepOptions } from './step-options.ts'

/** A side with its stream resolved to an edge. */
export type AsOfInput = Omit<AsOfSide, 'stream'> & { readonly edge: Edge }

export interface AsOfOptions extends AsOfJoinOptions, Omit<StepOptions, 'onError'> {
  readonly name: string
  readonly left: Edge
  readonly sides: Readonly<Record<string, AsOfInput>>
}

/** 100 s of a 100 Hz sensor; rows wait only while the left side lags, so more means that a side runs away. */
export const asOfMaxPerKey = 10_000

/**
 * Joins each left row with the latest row of each side at or before its time.
 * Output: `{ key, left, [side]: row }`, keyed, at the left row's time and by left time per key. A left row that misses a
 * required side is counted `dropped` ('unmatched') and goes to the side output `unmatched`; late rows of any input go to
 * `late`. `wait: 'watermark'` (default) decides when every side's watermark has passed the left row, and is deterministic;
 * a duration decides at the latest so long after the row arrived, in processing time.
 * Large fields pass by reference.
 * @throws UsageError `AS_OF_SIDES`, `AS_OF_FILL`, `AS_OF_RECORD`, `AS_OF_LIMIT`, `DURATION`
 */
export function asOf(graph: Graph, options: AsOfOptions): GraphNode {
  const { name, left, maxPerKey = asOfMaxPerKey } = options
  const wait = options.wait ?? 'watermark'
  const record = options.record ?? false
  const names = Object.keys(options.sides)
  checkNames(name, names)
  if (!Number.isInteger(maxPerKey) || maxPerKey < 2) {
    throw new UsageError(
      'AS_OF_LIMIT',
      `as-of join "${name}" has maxPerKey ${String(maxPerKey)}; it must be an integer of at least 2.`,
      { step: name },
    )
  }
  if (record && wait === 'watermark') {
    throw new UsageError(
      'AS_OF_RECORD',
      `as-of join "${name}" has record: true without a bounded wait; decisions by watermark are the same in every run. Remove \`record\`, or give \`wait\` a duration.`,
      { step: name },
    )
  }
  const waitMs = wait === 'watermark' ? null : positiveDurationMs(wait, `"wait" of as-of join "${name}"`)
  const sides = names.map((side): RightSide => {
    const { within, required = false, fill } = options.sides[side]
    const withinMs = durationMs(within, `"within" of side "${side}" of as-of join "${name}"`)
    return { name: side, withinMs, required, fill: fillPolicy(name, side, fill), maxPerKey }
  })
  return graph.add({
    kind: 'asOf',
    name,
    inputs: [left, ...names.map((side) => options.sides[side].edge)],
    determinism: waitMs === null ? 'deterministic' : 'timed',
    spec: {
      type: 'operator',
      create: (ctx) => new AsOfOperator(ctx, { sides, waitMs, record, build: rowBuilder(names) }),
      outputs: ['unmatched', 'late'],
      keepsKeys: true,
      changes: 'keeps',
      describe: {
        wait: waitMs === null ? 'watermark' : formatMs(waitMs),
        record,
        sides: sides.map((s) => ({
          name: s.name,
          within: formatMs(s.withinMs),
          required: s.required,
          fill: s.fill.type,
        })),
      },
    },
    ...nodeOptions(options),
  })
}

function rowBuilder(names: readonly string[]): AsOfSettings['build'] {
  return (key, left, rights) => {
    const row: Record<string, unknown> = { key: originalKey(key), left }
    for (let i = 0; i < names.length; i++) row[names[i]] = rights[i]
    return row
  }
}

function checkNames(step: string, names: readonly string[]): void {
  const taken = names.find((side) => side === 'key' || side === 'left')
  if (names.length > 0 && taken === undefined) return
  const what = taken === undefined ? 'has no sides' : `has a side called "${taken}", a field the result uses itself`
  throw new UsageError(
    'AS_OF_SIDES',
    `as-of join "${step}" ${what}. Name its sides: { gps: { stream: gps, within: '500ms' } }.`,
    {
      step,
    },
  )
}

function fillPolicy(step: string, side: string, fill: unknown): FillPolicy {
  if (fill === undefined) return { type: 'none' }
  if (fill === 'last' || fill === 'interpolate') return { type: fill }
  if (typeof fill === 'object' && fill !== null && 'default' in fill) return { type: 'default', value: fill.default }
  throw new UsageError(
    'AS_OF_FILL',
    `side "${side}" of as-of join "${step}" has fill ${JSON.stringify(fill)}; it is 'last', 'interpolate' or { default: value }.`,
    { step },
  )
}
