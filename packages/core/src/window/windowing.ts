/**
 * Windows by parameters with checked ranges, and three presets. The ranges bind only what is made here.
 */
import { UsageError } from '../errors.ts'
import type { CountWindow, TimeWindow } from './types.ts'

export interface WindowingOptions {
  /** 'time' and 'sliding' count in seconds of event time, 'count' in records per key. */
  readonly type: 'time' | 'sliding' | 'count'
  /** Seconds, 1 to 3600, default 10; or records, 1 to 10 000, default 100. */
  readonly windowSize?: number
  /** 1 to the window size, in its unit; default half the window. The window size itself: windows that do not overlap. */
  readonly slideSize?: number
  /** Capacity in records of the queue before the step, 10 to 100 000, default 1000. A full queue blocks. */
  readonly bufferSize?: number
}

/**
 * A window by parameters. Seconds may have fractions down to the millisecond; counts are whole.
 * @throws UsageError `WINDOW_RANGE` naming the parameter and its range
 * @example windowing({ type: 'time', windowSize: 5, slideSize: 1, bufferSize: 100 }).sizeMs // => 5000
 */
export function windowing(options: WindowingOptions & { readonly type: 'count' }): CountWindow
export function windowing(options: WindowingOptions & { readonly type: 'time' | 'sliding' }): TimeWindow
export function windowing(options: WindowingOptions): TimeWindow | CountWindow
export function windowing(options: WindowingOptions): TimeWindow | CountWindow {
  if (options.type !== 'time' && options.type !== 'sliding' && options.type !== 'count') {
    throw new UsageError(
      'WINDOW_RANGE',
      `type is ${JSON.stringify(options.type)}; it must be 'time', 'sliding' or 'count'.`,
      { data: { parameter: 'type', got: options.type } },
    )
  }
  const isCount = options.type === 'count'
  const unit = isCount ? 'records' : 'seconds'
  const perUnit = isCount ? 1 : 1_000
  const size = options.windowSize ?? (isCount ? 100 : 10)
  checkRange('windowSize', size, [1, isCount ? 10_000 : 3_600, isCount ? '100' : '10'], unit, perUnit)
  const half = isCount ? Math.floor(size / 2) : Math.floor(size * 500) / 1_000
  const slide = options.slideSize ?? Math.max(1, half)
  checkRange('slideSize', slide, [1, size, 'half the window'], unit, perUnit)
  const capacity = options.bufferSize ?? 1_000
  checkRange('bufferSize', capacity, [10, 100_000, '1000'], 'records', 1)
  const buffer = Object.freeze({ capacity, whenFull: 'block' as const })
  if (isCount) return Object.freeze({ type: 'count', size, slide, order: 'arrival', buffer })
  return Object.freeze({
    type: 'time',
    sizeMs: Math.round(size * perUnit),
    slideMs: Math.round(slide * perUnit),
    buffer,
  })
}

/** Window / slide / buffer: monitoring 5 s / 1 s / 100, statistics 60 s / 10 s / 1000, batchStream 300 s / 60 s / 10 000. */
export const presets = Object.freeze({
  monitoring: windowing({ type: 'time', windowSize: 5, slideSize: 1, bufferSize: 100 }),
  statistics: windowing({ type: 'time', windowSize: 60, slideSize: 10, bufferSize: 1_000 }),
  batchStream: windowing({ type: 'time', windowSize: 300, slideSize: 60, bufferSize: 10_000 }),
})

type Range = readonly [min: number, max: number, byDefault: string]

function checkRange(name: string, got: number, [min, max, byDefault]: Range, unit: string, perUnit: number): void {
  const scaled = got * perUnit
  const isWhole = Math.abs(scaled - Math.round(scaled)) < 1e-6
  if (typeof got === 'number' && got >= min && got <= max && isWhole) return
  const step = perUnit === 1 ? 'whole ' : ''
  throw new UsageError(
    'WINDOW_RANGE',
    `${name} is ${String(got)}; it must be ${min} to ${max} ${step}${unit}${perUnit === 1 ? '' : ', in whole milliseconds'} (default ${byDefault}). tumbling(), hopping() and countWindow() take other sizes.`,
    { data: { parameter: name, got, min, max, unit } },
  )
}
