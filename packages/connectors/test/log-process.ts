/** For the tests of the log: a process of its own that appends, reads or moves records until it is killed. */
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { openLog } from '@millrace/connectors/log'

type Role =
  /** Appends `prefix:0`, `prefix:1`, ... and prints how many are acknowledged. */
  | { readonly role: 'writer'; readonly topic: string; readonly prefix: string; readonly count: number }
  /** Moves records from one topic to another in transactions, as a member of a group. */
  | { readonly role: 'mover'; readonly from: string; readonly to: string; readonly id: string; readonly lease: string }
  /** Reads a topic to this many records and prints their number. */
  | { readonly role: 'reader'; readonly topic: string; readonly count: number }

const here = fileURLToPath(import.meta.url)

export interface LogProcess {
  readonly child: ChildProcess
  /** Lines of stdout so far. */
  readonly lines: string[]
  readonly stderr: () => string
  readonly ended: Promise<number | null>
  saying(text: string): Promise<void>
}

/** @param shell run before it; with `where` 'namespace' in mounts of its own, which others reach by /proc/PID/root */
export function startLogProcess(
  folder: string,
  role: Role,
  shell?: string,
  where: 'here' | 'namespace' = 'here',
): LogProcess {
  const args = ['--conditions=millrace-source', here, folder, JSON.stringify(role)]
  const inShell = ['bash', '-c', `${shell}; exec "$0" "$@"`, process.execPath, ...args]
  const child =
    shell === undefined
      ? spawn(process.execPath, args)
      : where === 'here'
        ? spawn(inShell[0], inShell.slice(1))
        : spawn('unshare', ['--map-root-user', '--mount', ...inShell])
  const lines: string[] = []
  const listeners = new Set<() => void>()
  let rest = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n')
    rest = parts.pop() ?? ''
    lines.push(...parts)
    for (const listener of listeners) listener()
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  return {
    child,
    lines,
    stderr: () => stderr,
    ended,
    saying: (text) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (lines.includes(text)) resolve()
        }
        listeners.add(look)
        look()
        void ended.then((code) => reject(new Error(`it ended (${code}) without saying "${text}": ${stderr}`)))
      }),
  }
}

async function run(folder: string, role: Role): Promise<void> {
  const log = await openLog(folder, { upkeepEvery: '200ms' })
  if (role.role === 'writer') {
    await log.admin.ensureTopic(role.topic)
    const producer = await log.producer()
    for (let n = 0; n < role.count; n++) {
      await producer.send({ topic: role.topic, key: `${n % 7}`, value: `${role.prefix}:${n}` })
      console.log(n + 1)
    }
  } else if (role.role === 'reader') {
    const consumer = await log.consumer({ topics: [role.topic] })
    let read = 0
    while (read < role.count) read += (await consumer.poll()).length
    console.log(read)
  } else {
    const consumer = await log.consumer({ group: 'movers', topics: [role.from], lease: role.lease as '1s' })
    const producer = await log.producer({ transactionalId: role.id })
    console.log('moving')
    for (;;) {
      const records = await consumer.poll({ maxRecords: 20, wait: '100ms' })
      if (records.length === 0) continue
      await producer.begin()
      await producer.send(records.map(({ key, value }) => ({ topic: role.to, key, value })))
      await producer.sendOffsets(consumer)
      // Somebody else has the partitions: what was gathered is not stored, poll() goes on with what is ours.
      await producer.commit().catch((error: { code?: string }) => {
        if (error.code !== 'LOG_GENERATION' && error.code !== 'LOG_MEMBER_UNKNOWN') throw error
      })
    }
  }
  await log.close()
}

if (process.argv[1] === here) await run(process.argv[2], JSON.parse(process.argv[3]) as Role)
