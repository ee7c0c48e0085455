/** The tables of `millrace top` and `millrace nodes`, in narrow and wide terminals. */
import type { FunctionFigures, NodeStatus } from '@millrace/remote'
import { expect, test } from 'vitest'
import { rowsOf, type TopSample } from '../remote/top-rows.ts'
import { nodeTable, topLines } from './remote-table.ts'
import { styleFor } from './style.ts'

const style = styleFor(process.stdout, {}, 'never')

const node = (id: string, more: Partial<NodeStatus> = {}): NodeStatus => ({
  ...{ id, gateway: 'g', peer: '127.0.0.1:1', lease: 1, upMs: 61_000, inFlight: 0, calls: 120, failures: 0 },
  ...{ isDraining: false, functions: [], tags: {}, load: { cpu: 0.534, memoryBytes: 100 * 1024 * 1024 } },
  ...more,
})

const figures = (more: Partial<FunctionFigures>): FunctionFigures => ({
  ...{ calls: 1, failed: 0, inFlight: 0, items: 0, bytes: 0, latencyMs: null },
  ...more,
})

function sample(atMs: number, functions: Record<string, FunctionFigures>): TopSample {
  const stats = {
    nodes: 2,
    clients: 3,
    inFlight: 1,
    failed: 3,
    opened: 122,
    functions,
  } as unknown as TopSample['stats']
  const offered = [
    { name: 'readings', kind: 'stream' as const, nodes: ['data-node'] },
    { name: 'score', kind: 'call' as const, nodes: ['data-node', 'ml-node'] },
    { name: 'unused', kind: 'call' as const, nodes: ['ml-node'] },
  ]
  const nodes = [node('data-node', { inFlight: 1, tags: { gpu: true } }), node('ml-node', { failures: 3 })]
  return { atMs, stats, nodes, functions: offered }
}

const before = sample(1_000, { readings: figures({ inFlight: 1, items: 100 }), score: figures({ calls: 100 }) })
const now = sample(3_000, {
  readings: figures({ inFlight: 1, items: 300, bytes: 9_000, latencyMs: 4.2 }),
  score: figures({ calls: 120, failed: 3, latencyMs: 12.5 }),
  gone: figures({ calls: 2, items: 10 }),
})

test('two looks become rates; what runs comes first, and a function without a node stays in sight', () => {
  const rows = rowsOf(before, now)
  expect(rows.map(({ name, kind, status }) => `${name} ${kind} ${status}`)).toEqual([
    'readings stream running',
    'gone stream no node',
    'score call idle',
    'unused call idle',
  ])
  expect(rows[0]).toMatchObject({ itemsPerS: 100, items: 300, latencyMs: 4.2 })
  expect(rows[2]).toMatchObject({ callsPerS: 10, failed: 3, nodes: ['data-node', 'ml-node'] })
})

test('top in a wide terminal', () => {
  expect(topLines(rowsOf(before, now), now, 140, style, true)).toEqual([
    '2 nodes   3 clients   1 open   3 failed of 122',
    '',
    'STREAM OR FUNCTION  STATUS   OPEN   PROGRESS   RATE  LATENCY  FAILED     BYTES  NODES',
    'readings            running     1  300 items  100/s  4.20 ms       -  8.79 KiB  data-node',
    'gone                no node     0   10 items    5/s        -       -       0 B',
    'score               idle        0  120 calls   10/s  12.5 ms   3/120       0 B  data-node ml-node',
    'not called yet (1): unused',
    '',
    'NODE       STATUS   OPEN   CPU   MEMORY  FAILED    UP  TAGS      FUNCTIONS',
    'data-node  working     1  53 %  100 MiB       -  61 s  gpu=true',
    'ml-node    idle        0  53 %  100 MiB   3/120  61 s  -',
  ])
})

test('nothing is wider than the terminal; names stay, columns leave from the right', () => {
  for (const width of [40, 60, 80]) {
    const lines = topLines(rowsOf(before, now), now, width, style, true)
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(width)
    expect(lines.some((line) => line.startsWith('readings'))).toBe(true)
  }
})

test('without resources there are no nodes; without nodes it says how to start one', () => {
  expect(topLines(rowsOf(before, now), now, 80, style, false).join('\n')).not.toContain('MEMORY')
  expect(nodeTable([], 80, style)).toEqual(['no nodes are connected. Start one: millrace node FILE --id NAME'])
})
