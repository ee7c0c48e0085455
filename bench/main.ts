/**
 * The benchmarks of Millrace: `npm run bench` runs all of them in a short form, `npm run bench -- NAME --full` one of them
 * as it was run for RESULTS.md. `--json FILE` writes the measurements.
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { capacity } from './capacity/capacity.ts'
import { control } from './control/control.ts'
import { fusion } from './fusion/fusion.ts'
import { latency } from './latency/latency.ts'
import type { Bench } from './lib/bench.ts'
import { environment } from './lib/environment.ts'
import { type BenchReport, markdown } from './lib/report.ts'
import { log } from './log/log.ts'
import { nexmark } from './nexmark/nexmark.ts'
import { operators } from './operators/operators.ts'
import { remote } from './remote/remote.ts'

const benches: Readonly<Record<string, Bench>> = { latency, fusion, control, nexmark, operators, capacity, log, remote }

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { full: { type: 'boolean', default: false }, json: { type: 'string' } },
})
const names = positionals.length === 0 ? Object.keys(benches) : positionals
const unknown = names.filter((name) => benches[name] === undefined)
if (unknown.length > 0) {
  const list = Object.entries(benches).map(([name, { what }]) => `  ${name.padEnd(10)} ${what}`)
  console.error(`There is no benchmark ${unknown.join(', ')}. These exist:\n${list.join('\n')}`)
  process.exit(2)
}

const reports: BenchReport[] = []
for (const bench of names) {
  const before = environment()
  const measured = await benches[bench].measure(values.full)
  const report: BenchReport = { bench, environments: [before, environment()], ...measured }
  reports.push(report)
  console.log(`${markdown(report)}\n`)
}
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(reports, null, 2)}\n`)
