/**
 * Many connections at once, some of them hostile: 500 here, 10,000 where CI sets MILLRACE_CASES to 3 or more. The senders
 * are processes of their own, so that neither side runs out of file descriptors.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { type DeadLetter, dataflow, dlq } from 'millrace'
import { arraySink } from 'millrace/testing'
import { afterEach, expect, test } from 'vitest'
import { eventually, type LiveRun, live, rawSocket } from '../../test/live.ts'
import { json, tcpServerSource } from './index.ts'

const connections = Number(process.env.MILLRACE_CASES ?? 1) >= 3 ? 10_000 : 500
const LINES = 10
const BUFFER_BYTES = 8 * 1024 * 1024

const children: ChildProcess[] = []
let run: LiveRun | undefined
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  await run?.stop()
})

/** Starts senders; gives the lines they print. */
function senders(port: number, first: number, count: number) {
  const script = fileURLToPath(new URL('../../test/socket-senders.ts', import.meta.url))
  const child = spawn(process.execPath, [script, port, first, count, LINES].map(String), {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  children.push(child)
  const printed: string[] = []
  createInterface({ input: child.stdout as NonNullable<typeof child.stdout> }).on('line', (line) => printed.push(line))
  return printed
}

test.each([1, 2])(
  `${connections} connections, four of ten hostile: the others are served, memory stays bounded, and every record is accounted for (%d workers)`,
  async (workers) => {
    const rows: { c: number; n: number }[] = []
    const letters: DeadLetter[] = []
    const flow = dataflow('many')
    flow
      .source(
        'in',
        tcpServerSource<{ c: number; n: number }>({
          port: 0,
          ack: 'lines',
          maxConnections: connections + 1,
          format: json({ maxLineBytes: 50_000 }),
          bufferBytes: BUFFER_BYTES,
        }),
        { time: 'processing', onError: dlq(arraySink<DeadLetter>(letters)) },
      )
      .filter((r) => typeof r.n === 'number')
      .keyBy((r) => r.c)
      .process<{ c: number; n: number }>('order', () => ({ onRecord: (r, ctx) => ctx.emit(r) }))
      .sink('out', arraySink<{ c: number; n: number }>(rows))
    run = live(flow, { workers })
    const url = await run.url('in')
    const port = Number(new URL(url).port)
    const used = () => process.memoryUsage().heapUsed + process.memoryUsage().external
    const before = used()
    let peak = 0
    const watching = setInterval(() => {
      peak = Math.max(peak, used() - before)
    }, 20)
    const perProcess = Math.min(connections, 2_500)
    const all = Array.from({ length: connections / perProcess }, (_, p) => senders(port, p * perProcess, perProcess))
    await eventually(() => all.every((printed) => printed.length === 2), 200_000)
    clearInterval(watching)
    const sent = all.map((printed) => JSON.parse(printed[1]) as { good: number; garbage: number })
    const good = sent.reduce((n, s) => n + s.good, 0)
    const garbage = sent.reduce((n, s) => n + s.garbage, 0)
    const tenth = connections / 10
    await eventually(() => rows.length === good && letters.length === garbage + 2 * tenth, 60_000)
    // Six of ten with all their lines, one with a single line in single bytes.
    expect(good).toBe(6 * tenth * LINES + tenth)
    const last = new Map<number, number>()
    for (const { c, n } of rows) {
      expect(n).toBe((last.get(c) ?? -1) + 1)
      last.set(c, n)
    }
    expect(last.size).toBe(7 * tenth)
    // An endless line is refused when it grows too long, or when it costs its sender the connection.
    const codes = (code: string) => letters.filter((l) => l.code === code).length
    expect([codes('UTF8_INVALID'), codes('JSON_INVALID')]).toEqual([tenth, tenth])
    expect(codes('RECORD_TRUNCATED') + codes('RECORD_TOO_LARGE')).toBe(2 * tenth)
    // The buffer, some KiB for each connection, the results themselves, and a factor of 3 for garbage to be collected.
    expect(peak).toBeLessThan(3 * (BUFFER_BYTES + connections * 24 * 1024 + 64 * 1024 * 1024))
    const another = await rawSocket(url)
    another.write('{"c":-1,"n":0}\n')
    await eventually(() => another.text() === '1\n')
    another.destroy()
    const { steps } = await (run as LiveRun).stop()
    expect(steps.in.recordsIn).toBe(steps.in.recordsOut + steps.in.dead + steps.in.droppedFull)
    expect(steps.in).toMatchObject({ recordsOut: good + 1, dead: garbage + 2 * tenth, droppedFull: 0 })
    expect(steps.out.recordsOut).toBe(good + 1)
  },
  300_000,
)
