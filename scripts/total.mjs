// Adds up the reports of a CI run and ends with `N passed, N failed, N skipped`:
//
//   node scripts/total.mjs FILE...
//
// A report is { passed: number, failed: names[], skipped: 'name: reason'[] }. Runs on Node 18. One that is missing
// counts as a failure: whatever was to write it did not get that far.

import { existsSync, readFileSync } from 'node:fs'

let passed = 0
/** @type {string[]} */
const failed = []
/** @type {string[]} */
const skipped = []

for (const file of process.argv.slice(2)) {
  if (!existsSync(file)) {
    failed.push(`no report ${file}`)
    continue
  }
  const report = JSON.parse(readFileSync(file, 'utf8'))
  passed += report.passed
  failed.push(...report.failed)
  skipped.push(...report.skipped)
}

for (const text of skipped) console.log(`skipped: ${text}`)
for (const text of failed) console.log(`failed: ${text}`)
console.log(`${passed} passed, ${failed.length} failed, ${skipped.length} skipped`)
process.exit(failed.length === 0 && passed > 0 ? 0 : 1)
