/** What a seed stands for: a flow, its input, the workers that run it, and how much goes wrong. */
import type { Duration } from 'millrace'
import { type FaultPlan, type SeededRandom, seededRandom } from 'millrace/testing'
import { type DataSettings, drawInput, type Input } from './data.ts'
import { shapes } from './shapes/index.ts'
import type { Shape, ShapeSettings } from './shapes/shape.ts'

export interface Scenario {
  readonly seed: number
  readonly shape: Shape
  readonly settings: ShapeSettings
  readonly data: DataSettings
  readonly input: Input
  /** Workers of each life in turn. */
  readonly workers: readonly number[]
  readonly commitEvery: Duration
  readonly arrivalMs: number
  readonly batchRowsMax: number
  /** True: the sink is the file connector's, else the reference one of the testing kit. */
  readonly hasFileSink: boolean
  /** How many faults are drawn, or the faults of each life. */
  readonly faults: number | FaultPlan
}

export function drawScenario(seed: number): Scenario {
  const random = seededRandom(seed).fork('scenario')
  // Some runs are long enough for logs to be merged.
  const isLong = random.chance(0.12)
  const shape = shapes[seed % shapes.length]
  const data = { ...drawData(random, shape), ...(isLong ? { events: 400 } : {}) }
  return {
    seed,
    shape,
    settings: {
      disorderMs: data.disorderMs,
      idleAfter: random.chance(0.3) ? '20s' : undefined,
    },
    data,
    input: drawInput(random.fork('input'), shape.sources, data),
    workers: Array.from({ length: random.pick([1, 1, 3]) }, () => random.between(1, 3)),
    commitEvery: isLong ? '5ms' : random.pick(['5ms', '20ms', '50ms', '100ms', '250ms'] as const),
    arrivalMs: isLong ? 4_000 : random.pick([0, 300, 1_000, 3_000]),
    batchRowsMax: isLong ? 2 : random.pick([1, 4, 16, 64, 512]),
    hasFileSink: random.chance(0.5),
    faults: isLong ? crashesWhileMerging(random) : random.chance(0.1) ? 0 : random.between(1, 20),
  }
}

/** One line per scenario, for tables and failures. */
export function describeScenario(scenario: Scenario): string {
  const { shape, data, workers, commitEvery, arrivalMs, batchRowsMax, faults, settings, hasFileSink } = scenario
  return `${shape.name}: ${data.partitions} partitions, ${workers.join(', then ')} workers, ${data.events} events of ${data.keys} keys, disorder ${data.disorderMs} ms, apart ${data.apartMs} ms${data.hasEmptyPartition ? ', one partition empty' : ''}${settings.idleAfter === undefined ? '' : `, idle after ${settings.idleAfter}`}, arrival ${arrivalMs} ms, batches to ${batchRowsMax}, commit every ${commitEvery}, ${hasFileSink ? 'file sink' : 'reference sink'}, ${typeof faults === 'number' ? faults : 'merging'} faults`
}

/** A crash in every life, at a write of the merged images; the first comes when enough logs have gathered. */
function crashesWhileMerging(random: SeededRandom): FaultPlan {
  const when = (): 'before' | 'during' | 'after' => random.pick(['before', 'during', 'after'])
  return Array.from({ length: 6 }, () => [
    {
      type: 'crash at',
      action: random.pick(['create', 'append', 'sync', 'sync folder', 'remove'] as const),
      path: '/base',
      write: 0,
      when: when(),
      kind: random.pick(['power', 'kill'] as const),
    },
  ])
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
