import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RowBatch } from '../batch/batch.ts'
import { OperationalError } from '../errors.ts'
import type { FullPolicy } from '../graph/node.ts'
import { cases } from '../testing/cases.ts'
import type { Element } from './element.ts'
import { BoundedQueue } from './queue.ts'

const policies: FullPolicy[] = ['block', 'drop-oldest', 'drop-newest', 'error']

function queue(capacity: number, whenFull: FullPolicy): BoundedQueue {
  return new BoundedQueue({ capacity, whenFull, step: 'slow' })
}

function batchOf(rows: readonly number[]): Element {
  return { type: 'batch', batch: new RowBatch(rows, rows) }
}

function watermark(time: number): Element {
  return { type: 'watermark', time }
}

/** One entry per record and marker, in order. */
function drain(q: BoundedQueue): string[] {
  const out: string[] = []
  for (let e = q.take(); e !== undefined; e = q.take()) out.push(...names(e))
  return out
}

function names(element: Element): string[] {
  if (element.type === 'batch')
    return Array.from({ length: element.batch.length }, (_, i) => `r${element.batch.row(i)}`)
  if (element.type === 'watermark') return [`w${element.time}`]
  return [element.type === 'idle' ? `i${element.isIdle}` : `b${element.epoch}`]
}

/** The markers a reader can tell apart: of a run without records only the last watermark, then the last idleness. */
function joined(entries: readonly string[]): string[] {
  const out: string[] = []
  for (const entry of entries) {
    if (entry[0] === 'w') while (/^[wi]/.test(out.at(-1) ?? '')) out.pop()
    if (entry[0] === 'i') while (/^i/.test(out.at(-1) ?? '')) out.pop()
    out.push(entry)
  }
  return out
}

/** The queue as a list of records and markers. */
class Model {
  entries: string[] = []
  dropped = 0
  readonly capacity: number
  readonly whenFull: FullPolicy

  constructor(capacity: number, whenFull: FullPolicy) {
    this.capacity = capacity
    this.whenFull = whenFull
  }

  get records(): number {
    return this.entries.filter((e) => e[0] === 'r').length
  }

  send(entries: readonly string[]): 'full' | 'ok' {
    const room = this.capacity - this.records
    if (entries[0]?.[0] !== 'r' || entries.length <= room || this.whenFull === 'block') {
      this.entries.push(...entries)
    } else if (this.whenFull === 'error') {
      return 'full'
    } else if (this.whenFull === 'drop-newest') {
      this.entries.push(...entries.slice(0, Math.max(0, room)))
      this.dropped += entries.length - Math.max(0, room)
    } else {
      this.entries.push(...entries)
      while (this.records > this.capacity) {
        this.entries.splice(
          this.entries.findIndex((e) => e[0] === 'r'),
          1,
        )
        this.dropped++
      }
    }
    return 'ok'
  }
}

type Action = { type: 'send'; rows: number } | { type: 'offer'; rows: number } | { type: 'marker'; of: string } | 'take'

const anyAction: fc.Arbitrary<Action> = fc.oneof(
  fc.record({ type: fc.constant('send' as const), rows: fc.nat(12) }),
  fc.record({ type: fc.constant('offer' as const), rows: fc.nat(12) }),
  fc.record({ type: fc.constant('marker' as const), of: fc.constantFrom('w', 'w', 'i', 'b') }),
  fc.constant('take' as const),
)

describe('BoundedQueue', () => {
  for (const whenFull of policies) {
    test(`with ${whenFull} it holds, drops and gives what a plain list would`, () => {
      fc.assert(
        fc.property(fc.integer({ min: 1, max: 20 }), fc.array(anyAction, { maxLength: 80 }), (capacity, actions) => {
          const q = queue(capacity, whenFull)
          const model = new Model(capacity, whenFull)
          const taken: string[] = []
          const expected: string[] = []
          let next = 0
          let offered = 0
          for (const action of actions) {
            if (action === 'take') {
              const element = q.take()
              if (element === undefined) continue
              const got = names(element)
              taken.push(...got)
              // The model gives as many records; markers may have been joined, which `joined` settles below.
              for (let left = got.filter((e) => e[0] === 'r').length; left > 0; ) {
                const entry = model.entries.shift() as string
                if (entry[0] === 'r') left--
                expected.push(entry)
              }
              continue
            }
            if (action.type === 'marker') {
              const n = next++
              const element: Element =
                action.of === 'w'
                  ? watermark(n)
                  : action.of === 'i'
                    ? { type: 'idle', isIdle: n % 2 === 0 }
                    : { type: 'barrier', epoch: n }
              q.send(element)
              model.send(names(element))
              continue
            }
            const rows = Array.from({ length: action.rows }, () => next++)
            const element = batchOf(rows)
            if (element.type !== 'batch') continue
            const wasQueued = q.queued()
            const wasDropped = q.dropped
            try {
              if (action.type === 'send') q.send(element)
              else {
                const took = q.offer(element.batch)
                const fits = Math.max(0, Math.min(rows.length, capacity - wasQueued))
                expect(took).toBe(whenFull === 'block' ? fits : rows.length)
                rows.length = took
              }
              expect(model.send(rows.map((r) => `r${r}`))).toBe('ok')
              offered += rows.length
            } catch (error) {
              expect(error).toBeInstanceOf(OperationalError)
              expect((error as OperationalError).code).toBe('BUFFER_FULL')
              expect(model.send(rows.map((r) => `r${r}`))).toBe('full')
              expect([q.queued(), q.dropped]).toEqual([wasQueued, wasDropped])
            }
            expect(q.queued()).toBe(model.records)
            expect(q.dropped).toBe(model.dropped)
            expect(q.hasRoom()).toBe(whenFull !== 'block' || q.queued() < capacity)
            if (whenFull !== 'block') expect(q.queued()).toBeLessThanOrEqual(capacity)
          }
          taken.push(...drain(q))
          expected.push(...model.entries)
          expect(joined(taken)).toEqual(joined(expected))
          expect(taken.filter((e) => e[0] === 'r').length + q.dropped).toBe(offered)
        }),
        { numRuns: cases(150) },
      )
    })
  }

  test('a stalled reader under drop-oldest costs no memory, however many watermarks come', () => {
    const q = queue(10, 'drop-oldest')
    for (let i = 0; i < 1000; i++) {
      q.send(batchOf([i]))
      q.send(watermark(i))
      q.send({ type: 'idle', isIdle: true })
    }
    expect(drain(q).length).toBeLessThan(50)
    expect(q.dropped).toBe(990)
  })

  test('a full buffer under error names the step, the numbers and the ways out', () => {
    const q = queue(2, 'error')
    q.send(batchOf([1, 2]))
    expect(() => q.send(batchOf([3]))).toThrow(
      'the buffer before step "slow" holds 2 of 2 records and 1 more came. The step is slower than its input',
    )
  })

  test('a blocking queue takes the whole output of a call that began while there was room', () => {
    const q = queue(2, 'block')
    expect(q.hasRoom()).toBe(true)
    q.send(batchOf([1, 2, 3]))
    expect(q.hasRoom()).toBe(false)
    expect(drain(q)).toEqual(['r1', 'r2', 'r3'])
    expect(q.dropped).toBe(0)
  })
})
