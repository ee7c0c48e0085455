import { defineConfig } from 'vitest/config'
import CountReporter from './scripts/lib/count-reporter.mjs'

const conditions = ['millrace-source']

// CI adds up the counts in this file; see .ci/run.
const report = process.env.MILLRACE_TEST_REPORT

// Property tests draw that many times their usual cases, see packages/core/src/testing/cases.ts.
const cases = Math.max(1, Number(process.env.MILLRACE_CASES ?? 1))

export default defineConfig({
  resolve: { conditions: [...conditions, 'node', 'import', 'module', 'default'] },
  ssr: { resolve: { conditions: [...conditions, 'node', 'import', 'module', 'default'] } },
  test: {
    include: [
      'packages/*/src/**/*.test.ts',
      'packages/*/test/**/*.test.ts',
      'examples/**/*.test.ts',
      'apps/**/*.test.ts',
      'tests/**/*.test.ts',
      'bench/**/*.test.ts',
      'simulation/**/*.test.ts',
    ],
    // tests/servers needs real servers, which .ci/servers starts.
    exclude: ['**/node_modules/**', '**/dist/**', 'tests/repo/.generated/**', 'tests/servers/**'],
    pool: 'forks',
    maxWorkers: 2,
    // Threads and processes a test starts resolve workspace packages to their sources as well.
    execArgv: conditions.map((name) => `--conditions=${name}`),
    // Far above what a test takes alone: two cores may be shared with much else.
    testTimeout: 30_000 * cases,
    hookTimeout: 60_000,
    reporters: ['default', new CountReporter(report)],
  },
})
