import fc from 'fast-check'
import { expect, test } from 'vitest'
import { cases } from '../testing/cases.ts'
import { TimeHeap } from './time-heap.ts'

test('a heap gives back what was put in, earliest first, with puts between', () => {
  const step = fc.option(fc.oneof(fc.double({ noNaN: true }), fc.integer({ min: -5, max: 5 })), { nil: undefined })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const heap = new TimeHeap()
      const times: number[] = []
      const left = new Set<number>()
      for (const time of [...steps, ...steps.map(() => undefined)]) {
        const earliest = Math.min(...[...left].map((id) => times[id]))
        expect(heap.earliest).toBe(earliest + 0 === 0 ? heap.earliest : earliest)
        if (time !== undefined) {
          left.add(times.length)
          heap.push(time, times.push(time) - 1)
        } else if (left.size > 0) {
          const id = heap.pop()
          expect(left.delete(id)).toBe(true)
          expect(times[id] - earliest === 0 || times[id] === earliest).toBe(true)
        }
        expect(heap.size).toBe(left.size)
      }
    }),
    { numRuns: cases(100) },
  )
})
