/**
 * A compact notation for what happens to an operator over time: rows, watermarks, idleness, the clock, the end.
 * `verifyOperator` plays it in several ways.
 */
import type { Key } from '../batch/key.ts'
import { type Duration, durationMs } from '../time/duration.ts'

export type TimelineItem =
  | {
      readonly type: 'row'
      readonly input: number
      readonly time: number
      readonly row: unknown
      readonly key: Key | undefined
    }
  /** Without an input: of all inputs. */
  | { readonly type: 'watermark'; readonly input: number | undefined; readonly time: number }
  | { readonly type: 'idle'; readonly input: number }
  | { readonly type: 'advance'; readonly ms: number }
  | { readonly type: 'settle' }

/** A row with its event time, on input 0. @example at(1_000, { n: 1 }, 'a') */
export function at(time: number, row: unknown, key?: Key): TimelineItem {
  return { type: 'row', input: 0, time, row, key }
}

/** The watermark of all inputs. */
export function watermark(time: number): TimelineItem {
  return { type: 'watermark', input: undefined, time }
}

/** Processing time passes. @throws UsageError `DURATION` */
export function advance(duration: Duration): TimelineItem {
  return { type: 'advance', ms: durationMs(duration, 'advance') }
}

/** Promises and requested wake-ups get their turn. */
export function settle(): TimelineItem {
  return { type: 'settle' }
}

/** The end of all inputs. */
export function end(): TimelineItem {
  return watermark(Number.POSITIVE_INFINITY)
}

/** What happens to one input. @example input(1).at(1_000, { n: 1 }, 'a') */
export function input(index: number): {
  at(time: number, row: unknown, key?: Key): TimelineItem
  watermark(time: number): TimelineItem
  idle(): TimelineItem
  end(): TimelineItem
} {
  return {
    at: (time, row, key) => ({ type: 'row', input: index, time, row, key }),
    watermark: (time) => ({ type: 'watermark', input: index, time }),
    idle: () => ({ type: 'idle', input: index }),
    end: () => ({ type: 'watermark', input: index, time: Number.POSITIVE_INFINITY }),
  }
}

/** One line that reads like the call that made the item. */
export function describeItem(item: TimelineItem): string {
  const on = 'input' in item && item.input !== undefined && item.input > 0 ? `input(${item.input}).` : ''
  switch (item.type) {
    case 'row':
      return `${on}at(${item.time}, ${show(item.row)}${item.key === undefined ? '' : `, ${show(item.key)}`})`
    case 'watermark':
      return item.time === Number.POSITIVE_INFINITY ? `${on}end()` : `${on}watermark(${item.time})`
    case 'idle':
      return `${on}idle()`
    case 'advance':
      return `advance('${item.ms}ms')`
    case 'settle':
      return 'settle()'
  }
}

/** A value as a message shows it. */
export function show(value: unknown): string {
  const text = JSON.stringify(value, (_, v: unknown) => {
    if (typeof v === 'bigint') return `${v}n`
    if (typeof v === 'number' && !Number.isFinite(v)) return String(v)
    if (v instanceof Map || v instanceof Set) return [...v]
    return v
  })
  return text ?? String(value)
}
