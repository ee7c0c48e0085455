// Everything a change must pass, as a table of steps:
//
//   npm run verify [-- --without STEP] [--with STEP] [--report FILE]
//
// Every step runs, also after a failure; the exit code is non-zero when one failed. A step marked `onRequest` runs only
// --with its name; CI asks for it. --report writes the outcomes for scripts/total.mjs.

import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { root } from './lib/paths.mjs'

const { values } = parseArgs({
  options: {
    without: { type: 'string', multiple: true, default: [] },
    with: { type: 'string', multiple: true, default: [] },
    report: { type: 'string' },
  },
})

/**
 * Generated cases are three times as many as `npm test` draws; fewer held against oracles than asked for are a failure.
 * The same as in .ci/run.
 */
const cases = { MILLRACE_CASES: '3', MILLRACE_ORACLE_CASES_MIN: '10000' }

/**
 * Each is run with this Node.
 * @type {{ name: string, what: string, args: string[], env?: Record<string, string>, onRequest?: boolean }[]}
 */
const steps = [
  { name: 'style', what: 'format and lint', args: ['node_modules/@biomejs/biome/bin/biome', 'check', '.'] },
  { name: 'types', what: 'strict type check of everything', args: ['node_modules/typescript/bin/tsc', '-p', '.'] },
  {
    name: 'tests',
    what: 'unit, contract, property, examples, documentation, layers, API report',
    args: ['node_modules/vitest/vitest.mjs', 'run'],
    env: cases,
  },
  {
    name: 'simulation',
    what: '200 seeds',
    args: ['--conditions=millrace-source', 'simulation/main.ts', '--seeds', '200'],
  },
  { name: 'unused', what: 'unused files, exports, dependencies', args: ['node_modules/knip/bin/knip.js'] },
  { name: 'packages', what: 'build, content, publint, attw, a consumer', args: ['scripts/pack.mjs'] },
  {
    name: 'node22',
    what: 'tests of packages and examples with the newest Node 22',
    args: [
      'scripts/with-node.mjs',
      '--node',
      '22',
      'node',
      'node_modules/vitest/vitest.mjs',
      'run',
      'packages',
      'examples',
    ],
    onRequest: true,
  },
]

const unknown = [...values.without, ...values.with].filter((name) => !steps.some((step) => step.name === name))
if (unknown.length > 0) {
  console.error(`verify: no step ${unknown.join(', ')}. There are ${steps.map(({ name }) => name).join(', ')}.`)
  process.exit(2)
}

const chosen = steps.filter(({ name, onRequest = false }) => {
  return !values.without.includes(name) && (!onRequest || values.with.includes(name))
})
const outcomes = chosen.map(({ name, what, args, env }) => {
  console.log(`\n== ${name}: ${what}`)
  const startedMs = performance.now()
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } })
  return { name, what, passed: status === 0, seconds: (performance.now() - startedMs) / 1000 }
})

console.log('')
for (const { name, what, passed, seconds } of outcomes) {
  console.log(`${passed ? 'passed' : 'FAILED'}  ${name.padEnd(11)}${seconds.toFixed(1).padStart(7)} s  ${what}`)
}
const failed = outcomes.filter(({ passed }) => !passed).map(({ name }) => name)
if (values.report !== undefined) {
  writeFileSync(values.report, JSON.stringify({ passed: outcomes.length - failed.length, failed, skipped: [] }))
}
process.exit(failed.length === 0 ? 0 : 1)
