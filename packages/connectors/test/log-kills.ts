/**
 * Four processes of an embedded log at work, killed and stopped: `logUnderKills` in its full size, for `npm run full -- log`.
 *
 *   node --conditions=millrace-source packages/connectors/test/log-kills.ts --seed 1 --kills 10 --stop-ms 60000
 */
import { parseArgs } from 'node:util'
import { logUnderKills } from 'millrace/testing'
import { embeddedLog, open, stopOutsideCommit } from './embedded-log.ts'
import { LogHost } from './log-host.ts'
import { TestFolder } from './test-files.ts'

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    kills: { type: 'string', default: '5' },
    'stop-ms': { type: 'string', default: '3000' },
  },
})
const seed = Number(values.seed)
const folder = new TestFolder()
const log = await open(folder.path)
try {
  const report = await logUnderKills({
    log,
    async process() {
      const host = new LogHost(embeddedLog)
      return host.process(folder.path, () => stopOutsideCommit(host, folder.path))
    },
    seed,
    kills: Number(values.kills),
    stopMs: Number(values['stop-ms']),
  })
  console.log(JSON.stringify({ seed, ...report }))
} finally {
  await log.close()
  folder.remove()
}
