import { expect, test } from 'vitest'
import { flowUnderKills } from '../../test/log-flow-kills.ts'

/** More on demand; `npm run full -- log-flow` does 50. */
const KILLS = Number(process.env.MILLRACE_KILLS ?? 5)

test(`a flow from log to log is exactly-once under ${KILLS} kills`, { timeout: 60_000 + KILLS * 8000 }, async () => {
  const { kills } = await flowUnderKills({ seed: 1, kills: KILLS })
  expect(kills).toBe(KILLS)
})
