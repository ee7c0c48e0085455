// A vitest reporter that writes what scripts/total.mjs adds up. vitest's own JSON leaves out why a test was skipped.

import { writeFileSync } from 'node:fs'

export default class CountReporter {
  /** @param {string} file */
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
    /** @type {string[]} */
    const failed = errors.map((error) => `outside of any test: ${String(Object(error).message ?? error)}`)
    /** @type {string[]} */
    const skipped = []
    for (const module of modules) {
      const failedBefore = failed.length
      for (const test of module.children.allTests()) {
        const name = `${module.relativeModuleId} > ${test.fullName}`
        const result = test.result()
        if (result.state === 'passed') passed++
        else if (result.state === 'skipped') skipped.push(`${name}: ${result.note ?? 'no reason given'}`)
        else failed.push(name)
      }
      // A file that cannot be loaded has no tests to fail.
      if (module.state() === 'failed' && failed.length === failedBefore) failed.push(module.relativeModuleId)
    }
    if (reason !== 'passed' && failed.length === 0) failed.push(`the run ended as ${reason}`)
    writeFileSync(this.file, JSON.stringify({ passed, failed, skipped }))
  }
}
