import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cases } from '../testing/cases.ts'
import type { Duration } from '../time/duration.ts'
import { type Grid, gridOf } from './grid.ts'
import { hopping, tumbling } from './windows.ts'

const hour = 3_600_000
const at = (iso: string): number => Date.parse(iso)
const grid = (size: Duration, timeZone: string, slide: Duration = size, offset: Duration = '0s'): Grid =>
  gridOf(hopping(size, slide), { timeZone, offset })
const windowAt = (g: Grid, iso: string): [string, string, number] => {
  const start = g.lastStart(g.sliceStart(at(iso)))
  const end = g.windowEnd(start)
  return [new Date(start).toISOString(), new Date(end).toISOString(), (end - start) / hour]
}

describe('days of a time zone', () => {
  it('have 23 hours when clocks go forward, 25 when they go back, and 24 otherwise', () => {
    const berlin = grid('1d', 'Europe/Berlin')
    expect(windowAt(berlin, '2025-03-30T12:00Z')).toEqual(['2025-03-29T23:00:00.000Z', '2025-03-30T22:00:00.000Z', 23])
    expect(windowAt(berlin, '2025-10-26T00:30Z')).toEqual(['2025-10-25T22:00:00.000Z', '2025-10-26T23:00:00.000Z', 25])
    expect(windowAt(berlin, '2025-07-01T21:59Z')[2]).toBe(24)
  })

  it('start when clocks first show midnight where midnight is skipped or repeated', () => {
    // Beirut skipped 00:00-01:00 on 2022-03-27; Havana repeats 00:00-01:00 on 2024-11-03.
    expect(windowAt(grid('1d', 'Asia/Beirut'), '2022-03-27T12:00Z').slice(0, 1)).toEqual(['2022-03-26T22:00:00.000Z'])
    expect(windowAt(grid('1d', 'America/Havana'), '2024-11-03T12:00Z')).toEqual([
      '2024-11-03T04:00:00.000Z',
      '2024-11-04T05:00:00.000Z',
      25,
    ])
  })

  it('make weeks that start on Monday with an offset of four days', () => {
    expect(windowAt(grid('7d', 'Europe/Berlin', '7d', '4d'), '2025-03-30T12:00Z')).toEqual([
      '2025-03-23T23:00:00.000Z',
      '2025-03-30T22:00:00.000Z',
      167,
    ])
  })

  it('hop day by day, with windows of seven calendar days', () => {
    const g = grid('7d', 'America/New_York', '1d')
    const slice = g.sliceStart(at('2025-03-09T18:00Z'))
    expect((g.windowEnd(g.firstStart(slice)) - g.firstStart(slice)) / hour).toBe(167)
    expect(g.windowEnd(g.firstStart(slice))).toBe(g.sliceEnd(slice))
  })
})

describe('hours of a time zone', () => {
  it('of one hour stay one hour long, also where an hour is repeated or the offset is half an hour', () => {
    const berlin = grid('1h', 'Europe/Berlin')
    expect(windowAt(berlin, '2025-10-26T00:30Z')[0]).toBe('2025-10-26T00:00:00.000Z')
    expect(windowAt(berlin, '2025-10-26T01:30Z')[0]).toBe('2025-10-26T01:00:00.000Z')
    expect(windowAt(grid('1h', 'Asia/Kolkata'), '2025-01-01T00:10Z')[0]).toBe('2024-12-31T23:30:00.000Z')
  })

  it('of six hours start at wall-clock hours, so the one with the change has five or seven', () => {
    const berlin = grid('6h', 'Europe/Berlin')
    expect(windowAt(berlin, '2025-03-30T00:30Z')).toEqual(['2025-03-29T23:00:00.000Z', '2025-03-30T04:00:00.000Z', 5])
    expect(windowAt(berlin, '2025-10-26T00:30Z')[2]).toBe(7)
    expect(windowAt(berlin, '2025-10-26T06:00Z')[0]).toBe('2025-10-26T05:00:00.000Z')
  })
})

it('slices tile the time line: every instant is in the slice that starts at its start', () => {
  const zones = [
    'Europe/Berlin',
    'America/New_York',
    'Australia/Lord_Howe',
    'Asia/Kolkata',
    'Pacific/Apia',
    'America/Havana',
  ]
  fc.assert(
    fc.property(
      fc.constantFrom(...zones),
      fc.constantFrom<Duration>('1h', '6h', '1d', '7d'),
      fc.integer({ min: at('1970-01-02'), max: at('2030-01-01') }),
      (zone, size, time) => {
        const g = gridOf(tumbling(size), { timeZone: zone })
        const start = g.sliceStart(time)
        const end = g.sliceEnd(start)
        expect(start <= time && time < end).toBe(true)
        expect(g.sliceStart(start)).toBe(start)
        expect(g.sliceStart(end - 1)).toBe(start)
        expect(g.sliceStart(end)).toBe(end)
        expect(g.windowEnd(start)).toBe(end)
      },
    ),
    { numRuns: cases(300) },
  )
})

it('lengths and zones without a calendar are refused', () => {
  expect(() => grid('1d', 'Mars/Olympus')).toThrow('time zone "Mars/Olympus" is unknown')
  expect(() => grid('5h', 'Europe/Berlin')).toThrow('windows in a time zone start every whole number of days')
  expect(() => grid('3d', 'Europe/Berlin', '2d')).toThrow('must be a whole number of its slides')
})
