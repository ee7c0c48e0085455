/**
 * Where the time of a CPU profile went, by part of the engine:
 *
 *   node --cpu-prof --cpu-prof-dir=DIR --conditions=millrace-source bench/nexmark/run.ts --query q4 --inline
 *   node --conditions=millrace-source bench/profile/run.ts DIR/*.cpuprofile
 */
import { readFileSync } from 'node:fs'
import { type CpuProfile, type Parts, sharesOf } from '../lib/cpu-profile.ts'

const parts: Parts = [
  ['generator', /bench\/nexmark\/(generator|random|texts|numbering)/],
  ['source', /bench\/nexmark\/source|batch\/(column-builder|row-writer)|millrace-writer|runtime\/source-input/],
  ['fused steps', /millrace-chain|runtime\/(fused|chain|interpret)/],
  ['shuffle', /runtime\/(channel|queue|ring|frame|partial-node|doorbell)/],
  ['commit', /checkpoint\/|state\/(codec|section|raw-store|store)|batch\/bytes|runtime\/node-disk/],
  ['state', /src\/state\//],
  ['operators', /src\/(operators|window)\//],
  ['rows and keys', /src\/batch\/|millrace-rows/],
  ['results', /bench\/nexmark\/(results|golden)/],
  ['query', /bench\/nexmark\/(q\d+|valid-bids|scan)\.ts/],
  ['sink and loop', /src\/runtime\/|connectors\/src/],
]

for (const file of process.argv.slice(2)) {
  const shares = sharesOf(JSON.parse(readFileSync(file, 'utf8')) as CpuProfile, parts)
  const total = [...shares.values()].reduce((a, b) => a + b, 0)
  console.log(`${file}: ${(total / 1e6).toFixed(2)} s`)
  for (const [part, us] of [...shares].sort((a, b) => b[1] - a[1])) {
    console.log(`  ${part.padEnd(14)} ${((us / total) * 100).toFixed(1).padStart(5)} %`)
  }
}
