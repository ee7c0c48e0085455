/**
 * A flow log -> window -> log whose process is killed at random moments while records come: each window's result is in the
 * topic once, and is that of the records that were sent.
 *
 *   node --conditions=millrace-source packages/connectors/test/log-flow-kills.ts --seed 1 --kills 10
 */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { openLog } from '@millrace/connectors/log'
import { seededRandom } from 'millrace/testing'
import { TestFolder } from './test-files.ts'

export interface FlowKillsReport {
  readonly kills: number
  readonly records: number
  readonly windows: number
}

const here = fileURLToPath(import.meta.url)
const flow = fileURLToPath(new URL('./log-flow.ts', import.meta.url))
/** Longest wait for a result of a flow that runs. */
const RESULT_MS = 30_000
const KEYS = 6
const WINDOW_MS = 100

/** @throws AssertionError that says which result is missing, wrong or there twice */
export async function flowUnderKills(options: {
  readonly seed: number
  readonly kills: number
}): Promise<FlowKillsReport> {
  const random = seededRandom(options.seed)
  const folder = new TestFolder()
  const log = await openLog(folder.at('log'))
  const run = new FlowProcess(folder)
  try {
    await log.admin.createTopic('in', { partitions: 2 })
    await log.admin.createTopic('out', { partitions: 2 })
    const producer = await log.producer()
    const expected = new Map<string, { n: number; total: number }>()
    let at = 0
    const send = async (rows: number): Promise<void> => {
      const records = Array.from({ length: rows }, () => {
        const reading = { key: `k${at % KEYS}`, at: at++, value: at % 11 }
        const window = `${reading.key} ${Math.floor(reading.at / WINDOW_MS) * WINDOW_MS}`
        const seen = expected.get(window) ?? { n: 0, total: 0 }
        expected.set(window, { n: seen.n + 1, total: seen.total + reading.value })
        return { topic: 'in', key: reading.key, value: JSON.stringify(reading) }
      })
      await producer.send(records)
    }
    const reader = await log.consumer({ topics: ['out'] })
    const results: string[] = []
    const read = async (): Promise<number> => {
      const records = await reader.poll({ wait: '20ms' })
      for (const record of records) {
        const { key, window, n, total } = JSON.parse(String(record.value))
        results.push(`${key} ${window.start} ${n} ${total}`)
      }
      return records.length
    }

    run.start()
    for (let kills = 0; kills < options.kills; ) {
      // The blow falls while records come and results go out, at a random moment after the first result.
      const before = results.length
      for (const until = Date.now() + RESULT_MS; results.length === before && Date.now() < until; ) {
        await send(100)
        await read()
      }
      ok(results.length > before, `no result in ${RESULT_MS} ms: ${run.stderr}`)
      const until = Date.now() + random.int(200)
      while (Date.now() < until) {
        await send(50)
        await read()
      }
      if (await run.kill()) kills++
      run.start()
    }
    // Later than every window, in each partition.
    const mark = { key: 'end', at: at + 10_000, value: 0 }
    await producer.send([0, 1].map((partition) => ({ topic: 'in', partition, value: JSON.stringify(mark) })))
    for (const until = Date.now() + RESULT_MS; results.length < expected.size && Date.now() < until; ) await read()
    // Time for what comes twice to show.
    await sleep(300)
    while ((await read()) > 0);
    strictEqual(run.stderr, '', 'the flow had nothing to complain about')
    const wanted = [...expected].map(([window, { n, total }]) => `${window} ${n} ${total}`)
    ok(wanted.length > KEYS * options.kills, 'every life of the flow closed windows')
    deepStrictEqual(results.sort(), wanted.sort())
    return { kills: options.kills, records: at, windows: wanted.length }
  } finally {
    await run.kill()
    await log.close()
    folder.remove()
  }
}

class FlowProcess {
  stderr = ''
  readonly #args: readonly string[]
  #child: ChildProcess | undefined

  constructor(folder: TestFolder) {
    this.#args = ['--conditions=millrace-source', flow, folder.at('log'), folder.at('state')]
  }

  start(): void {
    this.#child = spawn(process.execPath, this.#args, { stdio: ['ignore', 'ignore', 'pipe'] })
    this.#child.stderr?.on('data', (text) => {
      this.stderr += text
    })
  }

  /** True when the blow hit a living process. */
  async kill(): Promise<boolean> {
    const victim = this.#child
    this.#child = undefined
    if (victim === undefined || victim.exitCode !== null) return false
    const ended = new Promise<string | null>((resolve) => victim.once('exit', (_, signal) => resolve(signal)))
    victim.kill('SIGKILL')
    return (await ended) === 'SIGKILL'
  }
}

if (process.argv[1] === here) {
  const { values } = parseArgs({
    options: { seed: { type: 'string', default: '1' }, kills: { type: 'string', default: '5' } },
  })
  const seed = Number(values.seed)
  console.log(JSON.stringify({ seed, ...(await flowUnderKills({ seed, kills: Number(values.kills) })) }))
}
