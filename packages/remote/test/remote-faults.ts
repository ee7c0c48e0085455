/**
 * Simulated connection faults, seed after seed, ten faults each:
 *
 *   node --conditions=millrace-source packages/remote/test/remote-faults.ts [--from K] [--seeds N] | --seed K
 *
 * Prints a line of JSON with what was done. Exit code 1 when a seed failed.
 */
import { parseArgs } from 'node:util'
import { runSeed, type SeedResult } from './faults/run-seed.ts'
import { describeScenario } from './faults/scenario.ts'

const { values } = parseArgs({
  options: { from: { type: 'string' }, seeds: { type: 'string' }, seed: { type: 'string' } },
})
const from = Number(values.seed ?? values.from ?? 1)
const count = values.seed === undefined ? Number(values.seeds ?? 20) : 1

const results: SeedResult[] = []
for (let seed = from; seed < from + count; seed++) {
  const result = await runSeed(seed)
  results.push(result)
  if (result.failure === undefined) continue
  console.error(`seed ${seed} FAILED: ${result.failure}\n  ${describeScenario(result.scenario)}`)
}
const sum = (of: (result: SeedResult) => number): number => results.reduce((total, result) => total + of(result), 0)
console.log(
  JSON.stringify({
    seeds: results.length,
    failedSeeds: results.filter(({ failure }) => failure !== undefined).length,
    faults: sum(({ faults }) => faults),
    calls: sum(({ calls }) => calls),
    failedCalls: sum(({ failedCalls }) => failedCalls),
    resumed: sum(({ resumed }) => resumed),
    placedAgain: sum(({ placedAgain }) => placedAgain),
    items: sum(({ items }) => items),
    virtualSeconds: Math.round(sum(({ virtualMs }) => virtualMs) / 1000),
  }),
)
process.exitCode = results.some(({ failure }) => failure !== undefined) ? 1 : 0
