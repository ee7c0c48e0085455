/**
 * Tumbling and hopping windows as a grid: windows that start at regular places, and the slices they are made of.
 *
 * Invariants:
 *  G1  Slices are cut at every window start and every window end, nowhere else: a slice lies in a window whole or not at
 *      all, and a window has at most two slices per slide (gcd slices would be 1 ms wide for 10 s by 3333 ms).
 *  G2  The windows that contain a slice are those starting at firstStart(slice) .. lastStart(slice) in steps of
 *      nextStart; their ends rise with their starts.
 * @see Krishnamurthy, Wu, Franklin: On-the-fly sharing for streamed aggregation, SIGMOD 2006 (paired windows)
 */
import { UsageError } from '../errors.ts'
import { durationMs } from '../time/duration.ts'
import { calendarGrid } from './calendar.ts'
import type { TimeWindow, WindowOptions } from './types.ts'

export interface Grid {
  /** Start of the slice that contains `time`. */
  sliceStart(time: number): number
  /** End of the slice that starts at `start`. */
  sliceEnd(start: number): number
  /** Starts of the earliest and the latest window that contain the slice. */
  firstStart(slice: number): number
  lastStart(slice: number): number
  nextStart(windowStart: number): number
  windowEnd(windowStart: number): number
}

/**
 * Start of the tumbling window that contains `time`.
 * Windows are half-open `[start, start + sizeMs)`, aligned to the Unix epoch plus `offsetMs`: a record exactly on a
 * boundary opens the next window. Times before 1970 floor towards minus infinity.
 * @param time event time, ms since the epoch, fractions allowed
 * @throws UsageError `WINDOW_SIZE` when `sizeMs` is not a positive integer
 * @example windowStart(12_345, 10_000) // => 10000
 */
export function windowStart(time: number, sizeMs: number, offsetMs = 0): number {
  if (!Number.isSafeInteger(sizeMs) || sizeMs < 1) {
    throw new UsageError(
      'WINDOW_SIZE',
      `a window of ${String(sizeMs)} ms is not possible; use a whole number from 1.`,
      {
        data: { got: sizeMs },
      },
    )
  }
  return floorTo(time, sizeMs, offsetMs)
}

/** The grid of a time window. @throws UsageError `WINDOW_TIMEZONE` */
export function gridOf(window: TimeWindow, options: Pick<WindowOptions, 'offset' | 'timeZone'>): Grid {
  const offsetMs = options.offset === undefined ? 0 : durationMs(options.offset, 'window offset')
  return options.timeZone === undefined
    ? fixedGrid(window.sizeMs, window.slideMs, offsetMs)
    : calendarGrid(window, offsetMs, options.timeZone)
}

export function fixedGrid(size: number, slide: number, offset: number): Grid {
  const hasEndsBetween = size % slide !== 0
  return {
    sliceStart(time) {
      const start = floorTo(time, slide, offset)
      if (!hasEndsBetween) return start
      const end = floorTo(time - size, slide, offset) + size
      return Math.max(end, start)
    },
    sliceEnd(start) {
      const next = floorTo(start, slide, offset) + slide
      if (!hasEndsBetween) return next
      const end = floorTo(start - size, slide, offset) + slide + size
      return Math.min(end, next)
    },
    firstStart: (slice) => floorTo(slice - size, slide, offset) + slide,
    lastStart: (slice) => floorTo(slice, slide, offset),
    nextStart: (start) => start + slide,
    windowEnd: (start) => start + size,
  }
}

function floorTo(time: number, step: number, offset: number): number {
  return Math.floor((time - offset) / step) * step + offset + 0
}
