/** Where the time of a call and of an item goes, in each of the three processes: CPU time, divided by a profile. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { COLLECTOR, type CpuProfile, type Parts, REST, sharesOf } from '../lib/cpu-profile.ts'
import type { Table } from '../lib/report.ts'
import { short } from '../lib/spread.ts'
import type { CpuEach } from './meter.ts'

/** Beginning and ending a profile takes a while itself: left out. */
const PROFILING = 'profiling'

/** Time of the system for sending and receiving is in 'sockets'. */
const PARTS: Parts = [
  [PROFILING, /bench\/remote\/profiler|^node:(internal\/)?inspector/],
  ['sockets', /^node:(net|stream|internal\/(stream|streams|js_stream|timers|process|async))/],
  ['WebSocket frames', /node_modules\/ws\//],
  ['frames and turns', /remote\/src\/(protocol\/frame|session\/session|link|time)/],
  ['values as JSON', /remote\/src\/protocol\/codec/],
  ['headers of calls', /remote\/src\/protocol\//],
  ['routes and placement', /remote\/src\/gateway\//],
  ['calls and credit', /remote\/src\/(client|node|session)\//],
  ['functions and callers', /bench\/remote\/(functions|load|cases|stack)/],
]
const PROCESSES = ['client', 'gateway', 'node'] as const

interface Where {
  readonly cpu: CpuEach
  /** Shares of a process by part. */
  readonly shares: Readonly<Record<(typeof PROCESSES)[number], ReadonlyMap<string, number>>>
}

type Measure = (options: Readonly<Record<string, string | number>>) => Promise<unknown>

export async function whereTables(measure: Measure, ms: number, items: number): Promise<readonly Table[]> {
  const call = await where(measure, { case: 'calls', callers: 64, ms })
  const item = await where(measure, { case: 'items', fn: 'gen', items })
  return [
    tableOf('Where the time of a call goes, 64 callers: CPU µs of each call', call),
    tableOf('Where the time of an item goes, numbers: CPU µs of each item', item),
  ]
}

async function where(measure: Measure, options: Readonly<Record<string, string | number>>): Promise<Where> {
  const profiles = mkdtempSync(join(tmpdir(), 'millrace-bench-profiles-'))
  try {
    const cpu = (await measure({ ...options, profiles })) as CpuEach
    const [client, gateway, node] = PROCESSES.map((process) => sharesIn(join(profiles, `${process}.cpuprofile`)))
    return { cpu, shares: { client, gateway, node } }
  } finally {
    rmSync(profiles, { recursive: true, force: true })
  }
}

function sharesIn(file: string): Map<string, number> {
  const shares = sharesOf(JSON.parse(readFileSync(file, 'utf8')) as CpuProfile, PARTS)
  shares.delete(PROFILING)
  const total = [...shares.values()].reduce((a, b) => a + b, 0)
  return new Map([...shares].map(([part, us]) => [part, us / total]))
}

function tableOf(title: string, { cpu, shares }: Where): Table {
  const usOf = { client: cpu.clientUs, gateway: cpu.gatewayUs, node: cpu.nodeUs }
  const row = (part: string): string[] => {
    const each = PROCESSES.map((process) => (shares[process].get(part) ?? 0) * usOf[process])
    return [part, ...each.map(short), short(each.reduce((a, b) => a + b, 0))]
  }
  const all = PROCESSES.map((process) => usOf[process])
  return {
    title,
    head: ['part', ...PROCESSES, 'all'],
    rows: [
      ...[...PARTS.slice(1).map(([part]) => part), COLLECTOR, REST].map(row),
      ['all', ...all.map(short), short(all.reduce((a, b) => a + b, 0))],
    ],
    notes: ['User and system time. Being profiled slows all of them. The system calls that send are in sockets.'],
  }
}
