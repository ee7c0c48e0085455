// Adds up reports of vitest (JSON) and of scripts/verify.mjs and ends with `N passed, N failed, N skipped`:
//
//   node scripts/total.mjs FILE...
//
// Runs on Node 18. A report that is missing or ended without a verdict counts as one failure.

import { existsSync, readFileSync } from 'node:fs'

const total = { passed: 0, failed: 0, skipped: 0 }

for (const file of process.argv.slice(2)) {
  if (!existsSync(file)) {
    console.log(`failed: no report ${file}`)
    total.failed++
    continue
  }
  const report = JSON.parse(readFileSync(file, 'utf8'))
  if (report.gates !== undefined) addGates(report.gates)
  else addTests(report)
}
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`)
process.exit(total.failed === 0 && total.passed > 0 ? 0 : 1)

/** @param {{ name: string, passed: boolean }[]} gates */
function addGates(gates) {
  for (const { name, passed } of gates) {
    if (!passed) console.log(`failed: ${name}`)
    total[passed ? 'passed' : 'failed']++
  }
}

/**
 * @param {{ success: boolean, testResults: { name: string, status: string, message?: string,
 *   assertionResults: { status: string, fullName: string, meta?: { skipped?: string } }[] }[] }} report
 */
function addTests({ success, testResults }) {
  const before = total.failed
  for (const { name, status, assertionResults } of testResults) {
    const failures = assertionResults.filter((test) => test.status === 'failed')
    for (const { fullName } of failures) console.log(`failed: ${fullName}`)
    total.failed += failures.length
    total.passed += assertionResults.filter((test) => test.status === 'passed').length
    const skips = assertionResults.filter((test) => test.status !== 'failed' && test.status !== 'passed')
    for (const { fullName, meta } of skips) console.log(`skipped: ${fullName}: ${meta?.skipped ?? 'no reason given'}`)
    total.skipped += skips.length
    // A file that cannot be loaded has no tests to fail.
    if (status === 'failed' && failures.length === 0) {
      console.log(`failed: ${name}`)
      total.failed++
    }
  }
  if (!success && total.failed === before) {
    console.log('failed: the test run, outside of any test')
    total.failed++
  }
}
