import { expect, test } from 'vitest'
import { Latencies } from './histogram.ts'
import { markdown } from './report.ts'
import { short, spread, spreadText } from './spread.ts'

test('percentiles are within three digits of the values recorded', () => {
  const latencies = new Latencies()
  for (let i = 1; i <= 1000; i++) latencies.record(i / 10)
  const { count, p50Ms, p99Ms, maxMs } = latencies.percentiles()
  expect(count).toBe(1000)
  expect(p50Ms).toBeCloseTo(50, 0)
  expect(p99Ms).toBeCloseTo(99, 0)
  expect(maxMs).toBeCloseTo(100, 0)
})

test('histograms of several workers add up, through their texts', () => {
  const one = new Latencies()
  one.record(1, 3)
  const other = new Latencies()
  other.record(9)
  one.add(new Latencies(other.encode()))
  expect(one.percentiles()).toMatchObject({ count: 4 })
  expect(one.percentiles().maxMs).toBeCloseTo(9, 1)
})

test('a spread is the median between the least and the greatest', () => {
  expect(spread([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3 })
  expect(spreadText(spread([3000, 1000, 2000]), 1000)).toBe('2.00 (1.00..3.00)')
  expect([0, 0.001234, 12.34, 12345].map(short)).toEqual(['0', '0.00123', '12.3', '12345'])
})

test('a report is markdown with the machine in its first lines', () => {
  const before = { cpu: 'CPU', cores: 2, node: 'v1', load: 0.5, date: '2026-01-01T00:00' }
  const table = { title: 'Title', head: ['a', 'b'], rows: [['x', '1']] }
  const report = { bench: 'name', environments: [before, { ...before, load: 3 }], tables: [table], data: 1 } as const
  expect(markdown(report)).toContain('CPU, 2 cores, Node v1, load average 0.5, 2026-01-01T00:00Z (3.0 at the end)')
  expect(markdown(report)).toContain('| x | 1 |')
})
