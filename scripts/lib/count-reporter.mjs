// A vitest reporter that writes what scripts/total.mjs adds up. vitest's own JSON leaves out why a test was skipped.
// It also adds up the generated cases that properties hold against from-scratch oracles (`oracleCases`), prints their
// number, and fails the run when there are fewer than MILLRACE_ORACLE_CASES_MIN.

import { writeFileSync } from 'node:fs'

export default class CountReporter {
  /** @param {string | undefined} file without one, nothing is written */
  constructor(file) {
    this.file = file
  }

  /**
   * @param {readonly import('vitest/node').TestModule[]} modules
   * @param {readonly unknown[]} errors outside of any test
   * @param {import('vitest/node').TestRunEndReason} reason
   */
  onTestRunEnd(modules, errors, reason) {
    let passed = 0
    let oracleCases = 0
    /** @type {string[]} */
    const failed = errors.map((error) => `outside of any test: ${String(Object(error).message ?? error)}`)
    /** @type {string[]} */
    const skipped = []
    for (const module of modules) {
      const failedBefore = failed.length
      for (const test of module.children.allTests()) {
        const name = `${module.relativeModuleId} > ${test.fullName}`
        const result = test.result()
        if (result.state === 'passed') {
          passed++
          oracleCases += Number(Object(test.meta()).oracleCases ?? 0)
        } else if (result.state === 'skipped') skipped.push(`${name}: ${result.note ?? 'no reason given'}`)
        else failed.push(name)
      }
      // A file that cannot be loaded has no tests to fail.
      if (module.state() === 'failed' && failed.length === failedBefore) failed.push(module.relativeModuleId)
    }
    if (reason !== 'passed' && failed.length === 0) failed.push(`the run ended as ${reason}`)
    const least = Number(process.env.MILLRACE_ORACLE_CASES_MIN ?? 0)
    if (oracleCases > 0) console.log(`oracle cases: ${oracleCases}`)
    if (oracleCases < least) {
      failed.push(`oracle cases: ${oracleCases} of at least ${least}; MILLRACE_CASES multiplies them`)
      console.error(failed.at(-1))
      process.exitCode = 1
    }
    if (this.file !== undefined) writeFileSync(this.file, JSON.stringify({ passed, failed, skipped }))
  }
}
