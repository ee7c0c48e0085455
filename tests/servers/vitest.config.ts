// For the tests that .ci/servers starts: as vitest.config.ts, but for where they lie and how long they may take.
import base from '../../vitest.config.ts'

export default {
  ...base,
  test: {
    ...base.test,
    include: ['tests/servers/**/*.test.ts'],
    exclude: ['**/node_modules/**'],
    testTimeout: 300_000,
  },
}
