/** Event-time windows, keyed and not. */
import { count, hopping, max, min, session, sum, tumbling, type WindowSpec } from 'millrace'
import { byKey, type Event, eventsOf, type Input } from '../data.ts'
import { flowOf, type Row, type Shape } from './shape.ts'

interface Window {
  readonly start: number
  readonly end: number
}

export const tumblingWindows = windowShape(
  'tumbling windows',
  () => tumbling('1s'),
  (events) => slices(events, 1_000, 1_000),
)

export const hoppingWindows = windowShape(
  'hopping windows',
  () => hopping('900ms', '300ms'),
  (events) => slices(events, 900, 300),
)

export const sessionWindows = windowShape('session windows', () => session('120ms'), sessions)

/** Windows over windows, and over everything at the end. */
export const windowsOfWindows: Shape = {
  name: 'windows of windows',
  sources: ['a'],
  order: 'per key',
  build: (_, settings) =>
    flowOf(['a'], settings, (a) =>
      a
        .keyBy((e) => e.key)
        .window(tumbling('200ms'))
        .aggregate('small', { n: count(), total: sum((e) => e.n) })
        .windowAll(tumbling('2s'))
        .aggregate('large', { windows: count(), n: sum((w) => w.n), largest: max((w) => w.total) })
        .map((w) => ({ key: 'all', start: w.window.start, windows: w.windows, n: w.n, largest: w.largest })),
    ),
  expected: (input) => {
    const small = [...byKey(eventsOf(input, 'a')).values()].flatMap((events) => slices(events, 200, 200))
    const large = Map.groupBy(small, ({ window }) => Math.floor((window.end - 1) / 2_000) * 2_000)
    return [...large]
      .sort(([a], [b]) => a - b)
      .map(([start, windows]) => ({
        key: 'all',
        start,
        windows: windows.length,
        n: windows.reduce((n, { events }) => n + events.length, 0),
        largest: Math.max(...windows.map(({ events }) => total(events))),
      }))
  },
}

function windowShape(
  name: string,
  window: () => WindowSpec,
  windowsOf: (events: readonly Event[]) => { window: Window; events: Event[] }[],
): Shape {
  return {
    name,
    sources: ['a'],
    order: 'per key',
    build: (_, settings) =>
      flowOf(['a'], settings, (a) =>
        a
          .keyBy((e) => e.key)
          .window(window())
          .aggregate('totals', { n: count(), sum: sum((e) => e.n), min: min((e) => e.n), max: max((e) => e.n) })
          .map(({ key, window, n, sum, min, max }) => ({
            key,
            start: window.start,
            end: window.end,
            n,
            sum,
            min,
            max,
          })),
      ),
    expected: (input: Input): Row[] =>
      [...byKey(eventsOf(input, 'a'))].flatMap(([key, events]) =>
        windowsOf(events).map(({ window, events: inside }) => ({
          key,
          ...window,
          n: inside.length,
          sum: total(inside),
          min: Math.min(...inside.map((e) => e.n)),
          max: Math.max(...inside.map((e) => e.n)),
        })),
      ),
  }
}

function total(events: readonly Event[]): number {
  return events.reduce((n, e) => n + e.n, 0)
}

/** Windows of one size every `slideMs` that hold an event, by end. */
function slices(events: readonly Event[], sizeMs: number, slideMs: number): { window: Window; events: Event[] }[] {
  const starts = new Set<number>()
  for (const event of events) {
    const last = Math.floor(event.at / slideMs) * slideMs
    for (let start = last; start > event.at - sizeMs; start -= slideMs) starts.add(start)
  }
  return [...starts]
    .sort((a, b) => a - b)
    .map((start) => ({
      window: { start, end: start + sizeMs },
      events: events.filter((e) => e.at >= start && e.at < start + sizeMs),
    }))
}

/** Runs of events less than the gap apart; the events come by time. */
function sessions(events: readonly Event[]): { window: Window; events: Event[] }[] {
  const gapMs = 120
  const out: { window: Window; events: Event[] }[] = []
  for (const event of events) {
    const open = out.at(-1)
    if (open !== undefined && event.at < open.window.end) {
      open.events.push(event)
      open.window = { start: open.window.start, end: event.at + gapMs }
    } else out.push({ window: { start: event.at, end: event.at + gapMs }, events: [event] })
  }
  return out
}
