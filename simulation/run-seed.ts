/** Runs the scenario of one seed and says whether what was committed is what the oracle says. */

import { jsonLines } from '@millrace/connectors/file'
import { InvariantError } from 'millrace'
import { type SimDecorators, type Simulation, simulate } from 'millrace/testing'
import { difference } from './compare.ts'
import { drawScenario, type Scenario } from './scenario.ts'
import type { Row } from './shapes/shape.ts'

export interface SeedResult {
  readonly scenario: Scenario
  /** Undefined when it failed before its end. */
  readonly simulation: Simulation | undefined
  /** The faults of each life, where known. */
  readonly faults: unknown
  /** What is wrong, in words; undefined when nothing is. */
  readonly failure: string | undefined
}

export async function runSeed(seed: number, decorate?: SimDecorators): Promise<SeedResult> {
  const scenario = drawScenario(seed)
  const { shape, settings, input, workers, commitEvery, arrivalMs, batchRowsMax, faults } = scenario
  try {
    const simulation = await simulate({
      flow: (world) => shape.build(world, settings),
      input,
      seed,
      faults,
      workers,
      commitEvery,
      arrivalMs,
      batchRowsMax,
      decorate: {
        ...decorate,
        sink: (reference, name) => {
          const sink = scenario.hasFileSink ? (jsonLines({ path: `/sim/out/${name}` }) as typeof reference) : reference
          return decorate?.sink?.(sink, name) ?? sink
        },
      },
    })
    const failure = difference(shape.expected(input), simulation.outputs.out as Row[], shape.order)
    return { scenario, simulation, faults: simulation.faults, failure }
  } catch (error) {
    const known = error instanceof InvariantError ? error.data.faults : undefined
    const failure = error instanceof Error ? error.message : String(error)
    return { scenario, simulation: undefined, faults: known, failure }
  }
}
