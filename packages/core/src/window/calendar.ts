/**
 * Windows that follow the calendar of a time zone, where a day may have 23 or 25 hours.
 *
 * Window starts are "edges". With steps of 2 hours and more an edge is the first instant at which local clocks show a
 * multiple of the step (counted from 1970-01-01 00:00 local time, plus the offset), or jump over it. With steps of one
 * hour, hours are hours: edges are 60 minutes apart, so a repeated hour is two windows; only where a zone moves by half
 * an hour is one window shorter.
 *
 * Zone offsets come from Intl, looked up once per 15 minutes of event time (no zone changes between) and cached.
 */
import { UsageError } from '../errors.ts'
import { formatMs } from '../time/duration.ts'
import type { Grid } from './grid.ts'
import type { TimeWindow } from './types.ts'

const hourMs = 3_600_000
const dayMs = 86_400_000
const quarterMs = 900_000
/** Entries kept in each cache; a run through years of data starts over when it is full. */
const cacheMax = 4_096

export function calendarGrid(window: TimeWindow, offsetMs: number, timeZone: string): Grid {
  const { sizeMs, slideMs } = window
  checkSizes(sizeMs, slideMs, offsetMs, timeZone)
  const offsetAt = zoneOffsets(timeZone)
  const edges = slideMs === hourMs ? hourEdges(offsetAt) : wallEdges(offsetAt, slideMs, offsetMs)
  const steps = sizeMs / slideMs
  const walk = (edge: number, count: number): number => {
    for (let i = 0; i < count; i++) edge = edges.after(edge)
    for (let i = 0; i > count; i--) edge = edges.atOrBefore(edge - 1)
    return edge
  }
  const firstStart = cached((slice: number) => walk(slice, 1 - steps))
  const windowEnd = cached((start: number) => walk(start, steps))
  return {
    sliceStart: edges.atOrBefore,
    sliceEnd: edges.after,
    firstStart,
    lastStart: (slice) => slice,
    nextStart: edges.after,
    windowEnd,
  }
}

interface Edges {
  atOrBefore(time: number): number
  /** The edge after an edge. */
  after(edge: number): number
}

/** Offset of local time from UTC in ms at an instant. */
type OffsetAt = (time: number) => number

function wallEdges(offsetAt: OffsetAt, step: number, offset: number): Edges {
  const edge = cached((index: number) => instantOf(index * step + offset, offsetAt))
  const indexAt = (time: number): number => {
    let index = Math.floor((time + offsetAt(time) - offset) / step)
    // Clocks set back make local time repeat: an edge belongs to its first instant, and what follows to its window.
    while (edge(index + 1) <= time) index++
    while (edge(index) > time) index--
    return index
  }
  return {
    atOrBefore: (time) => edge(indexAt(time)),
    after(at) {
      let index = indexAt(at) + 1
      while (edge(index) <= at) index++
      return edge(index)
    },
  }
}

function hourEdges(offsetAt: OffsetAt): Edges {
  const change = (from: number, to: number): number => {
    const wanted = offsetAt(to)
    while (to - from > 1) {
      const middle = Math.floor((from + to) / 2)
      if (offsetAt(middle) === wanted) to = middle
      else from = middle
    }
    return to
  }
  const isHalf = (a: number, b: number): boolean => (offsetAt(a) - offsetAt(b)) % hourMs !== 0
  return {
    atOrBefore(fraction) {
      const time = Math.floor(fraction)
      const local = time + offsetAt(time)
      const start = time - (local - Math.floor(local / hourMs) * hourMs)
      return isHalf(start, time) ? change(start, time) : start
    },
    after(edge) {
      const local = edge + offsetAt(edge)
      const end = edge + hourMs - (local - Math.floor(local / hourMs) * hourMs)
      return isHalf(edge, end - 1) ? change(edge, end - 1) : end
    },
  }
}

/** First instant at which local clocks show `wall` or later. */
function instantOf(wall: number, offsetAt: OffsetAt): number {
  const guess = wall - offsetAt(wall - offsetAt(wall))
  if (guess + offsetAt(guess) === wall && offsetAt(guess - 3 * hourMs) === offsetAt(guess)) return guess
  // A clock change is near. Offsets lie within a day: the first quarter of an hour whose clocks reach `wall` has it.
  for (let at = Math.floor((wall - dayMs) / quarterMs) * quarterMs; ; at += quarterMs) {
    const reached = Math.max(at, wall - offsetAt(at))
    if (reached < at + quarterMs) return reached
  }
}

function zoneOffsets(timeZone: string): OffsetAt {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    calendar: 'gregory',
    numberingSystem: 'latn',
    hourCycle: 'h23',
    era: 'short',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  })
  const ofQuarter = cached((quarter: number) => {
    const at = quarter * quarterMs
    const parts: Record<string, number> = {}
    let isBeforeChrist = false
    for (const { type, value } of format.formatToParts(at)) {
      if (type === 'era') isBeforeChrist = value.startsWith('B')
      else parts[type] = Number(value)
    }
    const local = new Date(0)
    local.setUTCFullYear(isBeforeChrist ? 1 - parts.year : parts.year, parts.month - 1, parts.day)
    return local.setUTCHours(parts.hour, parts.minute, parts.second, 0) - at
  })
  return (time) => ofQuarter(Math.floor(time / quarterMs))
}

function cached(fn: (n: number) => number): (n: number) => number {
  const known = new Map<number, number>()
  return (n) => {
    let value = known.get(n)
    if (value === undefined) {
      if (known.size >= cacheMax) known.clear()
      known.set(n, (value = fn(n)))
    }
    return value
  }
}

function checkSizes(size: number, slide: number, offset: number, timeZone: string): void {
  const fail = (message: string): never => {
    throw new UsageError('WINDOW_TIMEZONE', message, { data: { timeZone, sizeMs: size, slideMs: slide } })
  }
  try {
    new Intl.DateTimeFormat('en-US', { timeZone })
  } catch {
    fail(`time zone ${JSON.stringify(timeZone)} is unknown; use an IANA name such as 'Europe/Berlin'.`)
  }
  if (slide % dayMs !== 0 && (slide % hourMs !== 0 || dayMs % slide !== 0)) {
    fail(
      `windows in a time zone start every whole number of days, or every 1, 2, 3, 4, 6, 8 or 12 hours; got ${formatMs(slide)}. Leave timeZone out for other lengths.`,
    )
  }
  if (size % slide !== 0) {
    fail(`a window of ${formatMs(size)} in a time zone must be a whole number of its slides of ${formatMs(slide)}.`)
  }
  if (slide === hourMs && offset !== 0) fail(`hourly windows in a time zone take no offset; got ${formatMs(offset)}.`)
}
