/**
 * Rows of one key in event-time order, as plain arrays: the value that joins keep in tables.
 *
 * Invariants:
 *  J1  `times` never falls; equal times are in order of arrival; all arrays have one length.
 *  J2  Finding is O(log n). Adding is O(1) for a row that is not older than the newest, else a move of the younger ones.
 */

export interface TimeBuffer<R = unknown> {
  readonly times: number[]
  readonly rows: R[]
  /** Bits per row, by the owner's meaning. */
  readonly flags: number[]
}

/** The row was part of a pair. */
export const MATCHED = 1
/** The row has weight -1. */
export const RETRACTED = 2

export function timeBuffer<R>(): TimeBuffer<R> {
  return { times: [], rows: [], flags: [] }
}

/** Index of the first time >= `time`. */
export function lowerBound(times: readonly number[], time: number): number {
  let lo = 0
  let hi = times.length
  while (lo < hi) {
    const mid = (lo + hi) >>> 1
    if (times[mid] < time) lo = mid + 1
    else hi = mid
  }
  return lo
}

/** Index of the first time > `time`. */
export function upperBound(times: readonly number[], time: number): number {
  let lo = 0
  let hi = times.length
  // Streams are mostly in order, so the end is the likely place.
  if (hi === 0 || times[hi - 1] <= time) return hi
  while (lo < hi) {
    const mid = (lo + hi) >>> 1
    if (times[mid] <= time) lo = mid + 1
    else hi = mid
  }
  return lo
}

/** Adds a row behind those of the same time. */
export function addRow<R>(buffer: TimeBuffer<R>, time: number, row: R, flags: number): void {
  const at = upperBound(buffer.times, time)
  if (at === buffer.times.length) {
    buffer.times.push(time)
    buffer.rows.push(row)
    buffer.flags.push(flags)
  } else {
    buffer.times.splice(at, 0, time)
    buffer.rows.splice(at, 0, row)
    buffer.flags.splice(at, 0, flags)
  }
}

/** Drops the `count` oldest rows. */
export function dropOldest(buffer: TimeBuffer, count: number): void {
  buffer.times.splice(0, count)
  buffer.rows.splice(0, count)
  buffer.flags.splice(0, count)
}
