import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type LogProcess, startLogProcess } from '../../test/log-process.ts'
import { type Log, openLog } from './index.ts'

/** Kills per test; more on demand: MILLRACE_KILLS=50. */
const KILLS = Number(process.env.MILLRACE_KILLS ?? 5)

let folder: string
let log: Log
const running = new Set<LogProcess>()
const start = (...args: Parameters<typeof startLogProcess>): LogProcess => {
  const started = startLogProcess(...args)
  running.add(started)
  void started.ended.then(() => running.delete(started))
  return started
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-log-'))
  log = await openLog(folder)
})
afterEach(async () => {
  for (const { child } of running) child.kill('SIGKILL')
  await Promise.all([...running].map((each) => each.ended))
  await log.close()
  rmSync(folder, { recursive: true, force: true })
})

async function valuesOf(topic: string, of?: string): Promise<string[]> {
  const other = of === undefined ? undefined : await openLog(of)
  const consumer = await (other ?? log).consumer({ topics: [topic] })
  const values: string[] = []
  for (;;) {
    const records = await consumer.poll({ wait: '0ms' })
    if (records.length === 0) break
    values.push(...records.map((record) => String(record.value)))
  }
  await consumer.close()
  await other?.close()
  return values
}

const numbersOf = (values: readonly string[], prefix: string): number[] =>
  values.filter((value) => value.startsWith(`${prefix}:`)).map((value) => Number(value.slice(prefix.length + 1)))

describe('processes that share a log', () => {
  test('two that append and two that read at once lose nothing', { timeout: 60_000 }, async () => {
    await log.admin.createTopic('t', { partitions: 1 })
    const writers = ['a', 'b'].map((prefix) => start(folder, { role: 'writer', topic: 't', prefix, count: 40 }))
    const readers = [1, 2].map(() => start(folder, { role: 'reader', topic: 't', count: 80 }))
    expect(await Promise.all([...writers, ...readers].map((each) => each.ended))).toEqual([0, 0, 0, 0])
    for (const reader of readers) expect(reader.lines).toEqual(['80'])
    const values = await valuesOf('t')
    const all = Array.from({ length: 40 }, (_, i) => i)
    for (const prefix of ['a', 'b']) expect(numbersOf(values, prefix)).toEqual(all)
  })

  test(`one that appends is killed ${KILLS} times: what was acknowledged is there, nothing twice, no gap`, {
    timeout: 60_000 + KILLS * 4000,
  }, async () => {
    await log.admin.createTopic('t', { partitions: 1 })
    for (let kill = 0; kill < KILLS; kill++) {
      const writer = start(folder, { role: 'writer', topic: 't', prefix: `${kill}`, count: 1_000_000 })
      await writer.saying('1')
      await sleep(Math.random() * 150)
      writer.child.kill('SIGKILL')
      await writer.ended
      const acknowledged = writer.lines.length
      const stored = numbersOf(await valuesOf('t'), `${kill}`)
      expect(stored).toEqual(Array.from({ length: stored.length }, (_, i) => i))
      expect(stored.length).toBeGreaterThanOrEqual(acknowledged)
    }
  })

  test(`movers in transactions are killed ${KILLS} times: each record arrives once`, {
    timeout: 60_000 + KILLS * 6000,
  }, async () => {
    const count = 60 * KILLS
    await log.admin.createTopic('in', { partitions: 2 })
    await log.admin.createTopic('out', { partitions: 1 })
    const producer = await log.producer()
    let sent = 0
    const send = (n: number): Promise<unknown> =>
      producer.send(Array.from({ length: n }, () => ({ topic: 'in', key: `${sent}`, value: `n:${sent++}` })))
    const mover = (id: string): LogProcess =>
      start(folder, { role: 'mover', from: 'in', to: 'out', id, lease: '700ms' })
    const movers = [mover('m0'), mover('m1')]
    await Promise.all(movers.map((each) => each.saying('moving')))
    for (let kill = 0; kill < KILLS; kill++) {
      await send(30)
      await sleep(Math.random() * 100)
      await send(30)
      const victim = kill % 2
      movers[victim].child.kill('SIGKILL')
      await movers[victim].ended
      movers[victim] = mover(`m${victim}`)
      await movers[victim].saying('moving')
    }
    for (const until = Date.now() + 20_000; (await valuesOf('out')).length < count && Date.now() < until; )
      await sleep(50)
    // Time for a duplicate to show.
    await sleep(300)
    const moved = numbersOf(await valuesOf('out'), 'n').sort((a, b) => a - b)
    expect(moved).toEqual(Array.from({ length: count }, (_, i) => i))
  })

  test('a stopped member loses its lease, others read on, and it comes back without harm', {
    timeout: 60_000,
  }, async () => {
    await log.admin.createTopic('in', { partitions: 2 })
    await log.admin.createTopic('out', { partitions: 1 })
    const mover = start(folder, { role: 'mover', from: 'in', to: 'out', id: 'm0', lease: '700ms' })
    await mover.saying('moving')
    const producer = await log.producer()
    const send = (from: number): Promise<unknown> =>
      producer.send(Array.from({ length: 20 }, (_, i) => ({ topic: 'in', key: `${from + i}`, value: `n:${from + i}` })))
    await send(0)
    for (const until = Date.now() + 10_000; (await valuesOf('out')).length < 20 && Date.now() < until; ) await sleep(20)
    mover.child.kill('SIGSTOP')
    await send(20)
    const other = await log.consumer({ group: 'movers', topics: ['in'], lease: '700ms' })
    let read = 0
    for (const until = Date.now() + 15_000; read < 20 && Date.now() < until; )
      read += (await other.poll({ wait: '100ms' })).length
    expect(read).toBe(20)
    await other.commit()
    mover.child.kill('SIGCONT')
    await sleep(300)
    await other.close()
    await send(40)
    const moved = async (): Promise<number[]> => numbersOf(await valuesOf('out'), 'n')
    for (const until = Date.now() + 15_000; (await moved()).length < 40 && Date.now() < until; ) await sleep(50)
    expect((await moved()).sort((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, i) => (i < 20 ? i : i + 20)))
  })

  test('a file system without room stops appends, loses none that was acknowledged, and goes on when there is room', {
    timeout: 60_000,
  }, async ({ skip }) => {
    const tmpfs = join(folder, 'small')
    mkdirSync(tmpfs)
    const mount = `mount -t tmpfs -o size=2m none ${tmpfs} && head -c 500000 /dev/zero > ${tmpfs}/filler`
    if (spawnSync('unshare', ['--map-root-user', '--mount', 'bash', '-c', mount]).status !== 0)
      return skip('this machine gives no file system of its own to a process')
    const prefix = 'x'.repeat(8000)
    const role = { role: 'writer', topic: 't', prefix, count: 1_000_000 } as const
    const writer = start(tmpfs, role, mount, 'namespace')
    await writer.saying('5')
    const rest = async (): Promise<number> => {
      for (let before = -1; before !== writer.lines.length; await sleep(1000)) before = writer.lines.length
      return writer.lines.length
    }
    const full = await rest()
    const seen = `/proc/${writer.child.pid}/root${tmpfs}`
    rmSync(join(seen, 'filler'))
    for (const until = Date.now() + 20_000; writer.lines.length === full && Date.now() < until; ) await sleep(20)
    expect(writer.lines.length).toBeGreaterThan(full)
    const acknowledged = await rest()
    // The copy is read: on the full disk not even a reader could note that it is there.
    cpSync(seen, join(folder, 'copy'), { recursive: true })
    writer.child.kill('SIGKILL')
    await writer.ended
    const stored = numbersOf(await valuesOf('t', join(folder, 'copy')), prefix)
    expect(stored).toEqual(Array.from({ length: stored.length }, (_, i) => i))
    expect(stored.length).toBeGreaterThanOrEqual(acknowledged)
  })

  test('a disk that is full stops appends and loses none that was acknowledged', { timeout: 60_000 }, async () => {
    await log.admin.createTopic('t', { partitions: 1 })
    // Files of this process may not grow beyond 400 KiB: the log gets as far as that.
    const writer = start(
      folder,
      { role: 'writer', topic: 't', prefix: 'x'.repeat(8000), count: 1_000_000 },
      'ulimit -f 400',
    )
    await writer.saying('5')
    for (let before = -1; before !== writer.lines.length; ) {
      before = writer.lines.length
      await sleep(1000)
    }
    writer.child.kill('SIGKILL')
    await writer.ended
    const stored = numbersOf(await valuesOf('t'), 'x'.repeat(8000))
    expect(stored).toEqual(Array.from({ length: stored.length }, (_, i) => i))
    expect(stored.length).toBeGreaterThanOrEqual(writer.lines.length)
    // There is room again: the log goes on.
    await (await log.producer()).send({ topic: 't', value: 'after' })
    expect((await valuesOf('t')).at(-1)).toBe('after')
  })
})
