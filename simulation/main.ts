/**
 * npm run sim -- --seeds N [--from K] | --seed K | --planted
 *
 * Runs seeds and prints a short table: what ran, what failed and how to run it again, and per durable write site how
 * often it was written and how often a process crashed there. Exit code 1 when a seed failed or a planted bug was missed.
 */
import { parseArgs } from 'node:util'
import { findBug } from './planted/find.ts'
import { plantedBugs } from './planted/index.ts'
import { printResults } from './report.ts'
import { runSeed, type SeedResult } from './run-seed.ts'
import { describeScenario } from './scenario.ts'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string' },
    from: { type: 'string' },
    seed: { type: 'string' },
    planted: { type: 'boolean' },
  },
})

if (values.planted === true) process.exitCode = await planted()
else if (values.seed !== undefined) process.exitCode = await oneSeed(Number(values.seed))
else process.exitCode = await seeds(Number(values.from ?? 1), Number(values.seeds ?? 100))

async function seeds(from: number, count: number): Promise<number> {
  const started = performance.now()
  const results: SeedResult[] = []
  for (let seed = from; seed < from + count; seed++) {
    const result = await runSeed(seed)
    results.push(result)
    if (result.failure !== undefined) printFailure(result)
  }
  printResults(results, performance.now() - started)
  return results.some((result) => result.failure !== undefined) ? 1 : 0
}

/** Runs a seed twice: the traces must be equal. */
async function oneSeed(seed: number): Promise<number> {
  const result = await runSeed(seed)
  const again = await runSeed(seed)
  console.log(describeScenario(result.scenario))
  if (result.failure !== undefined) printFailure(result)
  else printResults([result], 0)
  const isEqual = result.simulation?.traceHash === again.simulation?.traceHash && result.failure === again.failure
  console.log(isEqual ? 'run twice, the traces are equal' : 'run twice, the traces DIFFER')
  return result.failure === undefined && isEqual ? 0 : 1
}

/** Every planted bug must be found. */
async function planted(): Promise<number> {
  let missed = 0
  for (const bug of plantedBugs) {
    const found = await findBug(bug)
    if (found === undefined) missed++
    console.log(`${bug.name.padEnd(26)} ${found === undefined ? 'MISSED' : `seed ${found.seed}: ${found.failure}`}`)
  }
  return missed === 0 ? 0 : 1
}

function printFailure({ scenario, faults, failure }: SeedResult): void {
  console.log(`seed ${scenario.seed} FAILED: ${failure}`)
  console.log(`  ${describeScenario(scenario)}`)
  if (faults !== undefined) console.log(`  faults of each life: ${JSON.stringify(faults)}`)
  console.log(`  again: npm run sim -- --seed ${scenario.seed}`)
}
