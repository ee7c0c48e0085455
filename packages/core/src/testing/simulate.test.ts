import { expect, test } from 'vitest'
import { dataflow } from '../dataflow.ts'
import { arraySink } from './array-sink.ts'
import { arraySource } from './array-source.ts'
import { seededRandom } from './sim-random.ts'
import { simulate } from './simulate.ts'

interface Reading {
  readonly sensor: string
  readonly at: number
  readonly value: number
}

/** A second of event time after each record: how many records of its sensor were not younger. */
function flow() {
  const made = dataflow('simulated')
  made
    .source('readings', arraySource<Reading>([]), { time: (r) => r.at, disorder: '50ms' })
    .filter((r) => r.value >= 0)
    .keyBy((r) => r.sensor)
    .process<{ sensor: string; at: number; n: number }>('counts', ({ list }) => {
      const times = list<number>('times')
      return {
        onRecord(row, ctx) {
          times.append(row.at)
          ctx.timers.event(row.at + 1_000)
        },
        onTimer(timer, ctx) {
          const n = times.get().filter((at) => at + 1_000 <= timer.time).length
          ctx.emit({ sensor: String(ctx.key), at: timer.time, n })
        },
      }
    })
    .sink('out', arraySink<{ sensor: string; at: number; n: number }>([]))
  return made
}

function readings(seed: number): Record<string, Reading[]> {
  const random = seededRandom(seed)
  return Object.fromEntries(
    ['p0', 'p1', 'p2'].map((partition, p) => [
      partition,
      Array.from({ length: 60 }, (_, i) => ({
        sensor: `s${p}${random.int(3)}`,
        at: 1_699_000_000_000 + i * 40 + random.int(40),
        value: random.int(10) - 1,
      })),
    ]),
  )
}

const sorted = (rows: readonly unknown[]) => rows.map((row) => JSON.stringify(row)).sort()

test('a flow that is crashed gives what a calm one gives', { timeout: 60_000 }, async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const options = { flow: flow(), input: { readings: readings(seed) }, seed, workers: 1 + (seed % 3) }
    const calm = await simulate(options)
    const rough = await simulate({ ...options, flow: flow(), faults: 8 })
    expect(calm.outputs.out.length).toBeGreaterThan(100)
    expect(sorted(rough.outputs.out)).toEqual(sorted(calm.outputs.out))
  }
})

test('the same seed gives the same trace', async () => {
  const run = () => simulate({ flow: flow(), input: { readings: readings(3) }, seed: 3, faults: 5, workers: 2 })
  const [first, second] = [await run(), await run()]
  expect(second.traceHash).toBe(first.traceHash)
  expect(second.outputs).toEqual(first.outputs)
})
