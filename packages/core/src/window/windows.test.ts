import { expect, it } from 'vitest'
import { UsageError } from '../errors.ts'
import { windowStart } from './grid.ts'
import { presets, windowing } from './windowing.ts'
import { countWindow, everyCount, hopping, session, sliding, tumbling } from './windows.ts'

const codeOf = (make: () => unknown): string | undefined => {
  try {
    make()
  } catch (error) {
    return error instanceof UsageError ? error.code : String(error)
  }
  return undefined
}

it('windows are frozen plain descriptions in milliseconds', () => {
  expect(tumbling('10s')).toEqual({ type: 'time', sizeMs: 10_000, slideMs: 10_000 })
  expect(hopping('1m', '50ms')).toEqual({ type: 'time', sizeMs: 60_000, slideMs: 50 })
  expect(sliding('1ms')).toEqual({ type: 'sliding', sizeMs: 1 })
  expect(session('30s', { merge: 'touching' })).toEqual({ type: 'session', gapMs: 30_000, merge: 'touching' })
  expect(countWindow(100, 10)).toEqual({ type: 'count', size: 100, slide: 10, order: 'arrival' })
  expect(Object.isFrozen(tumbling('10s'))).toBe(true)
})

it('a size below a millisecond and a slide outside 1 .. size are refused', () => {
  expect(codeOf(() => tumbling('0s'))).toBe('WINDOW_SIZE')
  expect(codeOf(() => session('0ms'))).toBe('WINDOW_SIZE')
  expect(codeOf(() => countWindow(1.5))).toBe('WINDOW_SIZE')
  expect(codeOf(() => everyCount(0))).toBe('WINDOW_SIZE')
  expect(codeOf(() => hopping('10s', '0s'))).toBe('WINDOW_SLIDE')
  expect(codeOf(() => hopping('10s', '11s'))).toBe('WINDOW_SLIDE')
  expect(codeOf(() => countWindow(10, 11))).toBe('WINDOW_SLIDE')
  expect(codeOf(() => tumbling('1.5ms'))).toBe('DURATION')
})

it('windowing counts seconds for time and records for count, and slides by half the window by default', () => {
  const buffer = { capacity: 1_000, whenFull: 'block' }
  expect(windowing({ type: 'time' })).toEqual({ type: 'time', sizeMs: 10_000, slideMs: 5_000, buffer })
  expect(windowing({ type: 'sliding', windowSize: 5 })).toEqual({ type: 'time', sizeMs: 5_000, slideMs: 2_500, buffer })
  expect(windowing({ type: 'time', windowSize: 1 })).toEqual({ type: 'time', sizeMs: 1_000, slideMs: 1_000, buffer })
  expect(windowing({ type: 'count' })).toEqual({ type: 'count', size: 100, slide: 50, order: 'arrival', buffer })
  expect(windowing({ type: 'count', windowSize: 1 }).slide).toBe(1)
})

it('the ends of the ranges are in them', () => {
  const time = windowing({ type: 'time', windowSize: 3_600, slideSize: 1, bufferSize: 10 })
  expect([time.sizeMs, time.slideMs, time.buffer?.capacity]).toEqual([3_600_000, 1_000, 10])
  const records = windowing({ type: 'count', windowSize: 10_000, slideSize: 10_000, bufferSize: 100_000 })
  expect([records.size, records.slide, records.buffer?.capacity]).toEqual([10_000, 10_000, 100_000])
})

it('parameters out of range are refused with the range and the default', () => {
  expect(() => windowing({ type: 'time', windowSize: 3_601 })).toThrow(
    'windowSize is 3601; it must be 1 to 3600 seconds, in whole milliseconds (default 10).',
  )
  expect(() => windowing({ type: 'sliding', windowSize: 0.5 })).toThrow('windowSize is 0.5; it must be 1 to 3600')
  expect(() => windowing({ type: 'count', windowSize: 0 })).toThrow('1 to 10000 whole records (default 100).')
  expect(() => windowing({ type: 'time', slideSize: 0.5 })).toThrow('(default half the window).')
  expect(() => windowing({ type: 'count', bufferSize: 100_001 })).toThrow('10 to 100000 whole records (default 1000).')
  expect(() => windowing({ type: 'count', windowSize: 10_001 })).toThrow('it must be 1 to 10000 whole records')
  expect(() => windowing({ type: 'time', windowSize: 5, slideSize: 6 })).toThrow('slideSize is 6; it must be 1 to 5')
  expect(() => windowing({ type: 'time', bufferSize: 9 })).toThrow('bufferSize is 9; it must be 10 to 100000')
  expect(codeOf(() => windowing({ type: 'time', windowSize: Number.NaN }))).toBe('WINDOW_RANGE')
  expect(codeOf(() => windowing({ type: 'count', windowSize: 2.5 }))).toBe('WINDOW_RANGE')
  expect(codeOf(() => windowing({ type: 'weekly' as 'time' }))).toBe('WINDOW_RANGE')
})

it('the presets are 5/1/100, 60/10/1000 and 300/60/10000', () => {
  const shown = Object.values(presets).map((w) => [w.sizeMs / 1_000, w.slideMs / 1_000, w.buffer?.capacity])
  expect(shown).toEqual([
    [5, 1, 100],
    [60, 10, 1_000],
    [300, 60, 10_000],
  ])
})

it('a record on a boundary opens the next window, and times before 1970 floor', () => {
  expect(windowStart(12_345, 10_000)).toBe(10_000)
  expect(windowStart(10_000, 10_000)).toBe(10_000)
  expect(windowStart(9_999.9, 10_000)).toBe(0)
  expect(windowStart(-1, 10_000)).toBe(-10_000)
  expect(windowStart(5_000, 10_000, 6_000)).toBe(-4_000)
  expect(codeOf(() => windowStart(1, 0))).toBe('WINDOW_SIZE')
})
