/** Flows of the engine in virtual time take as long as the capacity model says, to the millisecond, point by point. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Source } from '../../src/connector.ts'
import { capacity, collect, type Dataflow, type Duration, dataflow, pointLatencyMs, tumbling } from '../../src/index.ts'
import { oracleCases } from '../../src/testing/cases.ts'
import { Virtual } from './kit.ts'

interface Pace {
  readonly points: number
  readonly intervalMs: number
  readonly processMs: number
}

const paces: fc.Arbitrary<Pace> = fc.record({
  points: fc.integer({ min: 1, max: 40 }),
  intervalMs: fc.integer({ min: 1, max: 60 }),
  processMs: fc.integer({ min: 1, max: 60 }),
})

/** A run of a flow whose source gives point `i` after `i` intervals; `doneAtMs` is since the first one was there. */
class Timed {
  readonly v = new Virtual()
  readonly doneAtMs: number[] = []
  #startMs = 0

  source({ points, intervalMs }: Pace): Source<number> {
    return {
      kind: 'paced',
      bounded: true,
      replayable: false,
      describe: () => ({}),
      partitions: () => ['0'],
      open: () => {
        let point = 0
        return {
          read: async () => {
            if (point === 0) this.#startMs = this.v.clock.now()
            if (point === points) return 'end'
            await this.until(this.#startMs + point * intervalMs)
            return { rows: [point], next: ++point, caughtUp: true, at: () => point - 1 }
          },
          close() {},
        }
      },
    }
  }

  async work<R>(ms: number, result: R): Promise<R> {
    await this.until(this.v.clock.now() + ms)
    return result
  }

  async until(timeMs: number): Promise<void> {
    const waitMs = timeMs - this.v.clock.now()
    if (waitMs > 0) await new Promise<void>((resolve) => void this.v.process.after(waitMs, resolve))
  }

  async run(flow: Dataflow): Promise<number[]> {
    await this.v.start(flow).end()
    return this.doneAtMs
  }

  readonly done = {
    kind: 'done',
    guarantee: 'at-least-once',
    describe: () => ({}),
    open: () => ({
      write: (batch: { readonly length: number }) => {
        for (let i = 0; i < batch.length; i++) this.doneAtMs.push(this.v.clock.now() - this.#startMs)
      },
      close() {},
    }),
  } as const
}

test('a stream gives each point when the model says', async () => {
  await fc.assert(
    fc.asyncProperty(paces, async (pace) => {
      const timed = new Timed()
      const flow = dataflow('stream')
      flow
        .source('points', timed.source(pace), { time: (i) => i * pace.intervalMs, disorder: '0ms' })
        .mapAsync('work', (i) => timed.work(pace.processMs, i), { capacity: 1 })
        .sink('done', timed.done)
      const doneAtMs = await timed.run(flow)
      expect(doneAtMs.map((at, i) => at - i * pace.intervalMs)).toEqual(
        doneAtMs.map((_, i) => pointLatencyMs(i + 1, pace)),
      )
      expect(doneAtMs).toHaveLength(pace.points)
    }),
    { numRuns: oracleCases(60) },
  )
})

test('a batch gives all points when the model says', async () => {
  await fc.assert(
    fc.asyncProperty(paces, async (pace) => {
      const { points, intervalMs, processMs } = pace
      const timed = new Timed()
      const flow = dataflow('batch')
      // The point after the last one closes the window, and is dropped.
      flow
        .source('points', timed.source({ ...pace, points: points + 1 }), {
          time: (i) => i * intervalMs,
          disorder: '0ms',
        })
        .windowAll(tumbling(`${points * intervalMs}ms` as Duration))
        .aggregate('collect', { batch: collect<number>() })
        .filter(({ batch }) => batch[0] === 0)
        .mapAsync('work', ({ batch }) => timed.work(batch.length * processMs, batch), { capacity: 1 })
        .sink('done', timed.done)
      expect(await timed.run(flow)).toEqual([capacity({ ...pace, sizeBytes: 1 }).batch.latencyMs])
    }),
    { numRuns: oracleCases(60) },
  )
})
