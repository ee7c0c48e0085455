/** What a seed stands for: a flow, its input, the workers that run it, and how much goes wrong. */
import type { Duration } from 'millrace'
import { type SeededRandom, seededRandom } from 'millrace/testing'
import { type DataSettings, drawInput, type Input } from './data.ts'
import { shapes } from './shapes/index.ts'
import type { Shape, ShapeSettings } from './shapes/shape.ts'

export interface Scenario {
  readonly seed: number
  readonly shape: Shape
  readonly settings: ShapeSettings
  readonly data: DataSettings
  readonly input: Input
  readonly workers: number
  readonly commitEvery: Duration
  readonly arrivalMs: number
  readonly batchRowsMax: number
  /** True: the sink is the file connector's, else the reference one of the testing kit. */
  readonly hasFileSink: boolean
  /** How many faults are drawn. */
  readonly faults: number
}

export function drawScenario(seed: number): Scenario {
  const random = seededRandom(seed).fork('scenario')
  const shape = shapes[seed % shapes.length]
  const data = drawData(random, shape)
  return {
    seed,
    shape,
    settings: {
      disorderMs: data.disorderMs,
      idleAfter: random.chance(0.3) ? '20s' : undefined,
    },
    data,
    input: drawInput(random.fork('input'), shape.sources, data),
    workers: random.between(1, 3),
    commitEvery: random.pick(['20ms', '50ms', '100ms', '250ms'] as const),
    arrivalMs: random.pick([0, 300, 1_000, 3_000]),
    batchRowsMax: random.pick([1, 4, 16, 64, 512]),
    hasFileSink: random.chance(0.5),
    faults: random.chance(0.1) ? 0 : random.between(1, 20),
  }
}

/** One line per scenario, for tables and failures. */
export function describeScenario(scenario: Scenario): string {
  const { shape, data, workers, commitEvery, arrivalMs, batchRowsMax, faults, settings, hasFileSink } = scenario
  return `${shape.name}: ${data.partitions} partitions, ${workers} workers, ${data.events} events of ${data.keys} keys, disorder ${data.disorderMs} ms, apart ${data.apartMs} ms${data.hasEmptyPartition ? ', one partition empty' : ''}${settings.idleAfter === undefined ? '' : `, idle after ${settings.idleAfter}`}, arrival ${arrivalMs} ms, batches to ${batchRowsMax}, commit every ${commitEvery}, ${hasFileSink ? 'file sink' : 'reference sink'}, ${faults} faults`
}

function drawData(random: SeededRandom, shape: Shape): DataSettings {
  return {
    partitions: random.between(1, 4),
    events: random.pick([30, 100, 250]),
    keys: random.pick([1, 3, 12]),
    disorderMs: random.pick([0, 20, 400]),
    stepMs: random.pick([5, 40, 150]),
    apartMs: random.pick([0, 0, 2_000, 600_000]),
    hasEmptyPartition: random.chance(0.2),
    duplicates: shape.hasDuplicates === true ? 0.3 : 0,
  }
}
