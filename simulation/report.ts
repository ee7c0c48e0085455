/** The table that a run of seeds ends with. */
import type { SeedResult } from './run-seed.ts'

export function printResults(results: readonly SeedResult[], elapsedMs: number): void {
  const done = results.flatMap(({ simulation }) => simulation ?? [])
  const failed = results.filter(({ failure }) => failure !== undefined)
  const sum = (of: (simulation: (typeof done)[number]) => number): number => done.reduce((total, s) => total + of(s), 0)
  console.log(
    `${results.length} seeds, ${failed.length} failed, ${(elapsedMs / 1000).toFixed(1)} s; ${sum((s) => s.crashes)} crashes of processes, ${sum((s) => s.restarts)} restarts of workers, ${(sum((s) => s.virtualMs) / 1000).toFixed(0)} s of virtual time`,
  )
  const shapes = Map.groupBy(results, ({ scenario }) => scenario.shape.name)
  for (const [name, of] of shapes) {
    const wrong = of.filter(({ failure }) => failure !== undefined).length
    console.log(`  ${name.padEnd(24)} ${String(of.length).padStart(5)} seeds ${String(wrong).padStart(4)} failed`)
  }
  const sites = new Map<string, { writes: number; crashes: number }>()
  for (const simulation of done) {
    for (const [site, { writes, crashes }] of simulation.sites) {
      const total = sites.get(site) ?? { writes: 0, crashes: 0 }
      sites.set(site, { writes: total.writes + writes, crashes: total.crashes + crashes })
    }
  }
  console.log(`${'durable write site'.padEnd(48)} ${'writes'.padStart(9)} ${'crashes'.padStart(9)}`)
  for (const [site, { writes, crashes }] of [...sites].sort()) {
    console.log(`${site.padEnd(48)} ${String(writes).padStart(9)} ${String(crashes).padStart(9)}`)
  }
}
