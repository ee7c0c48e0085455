/** Tables of `millrace nodes` and `millrace top`. Names stay at any width; other columns leave from the right. */
import type { NodeStatus } from '@millrace/remote'
import type { TopRow, TopSample } from '../remote/top-rows.ts'
import { formatAge, formatBytes, formatCount, formatDuration, formatRate } from './format.ts'
import { cutEnd, cutMiddle, padEnd, padStart, plain, type Style } from './style.ts'

interface Column<R> {
  readonly title: string
  readonly cell: (row: R) => string
  readonly isText?: boolean
  readonly paint?: (row: R, style: Style) => ((text: string) => string) | undefined
}

const NAME_MIN = 8
const NAME_MAX = 32

const NODE_COLUMNS: readonly Column<NodeStatus>[] = [
  {
    title: 'STATUS',
    cell: (n) => (n.isDraining ? 'draining' : n.inFlight > 0 ? 'working' : 'idle'),
    isText: true,
    paint: (n, style) => (n.isDraining ? style.warn : n.inFlight > 0 ? style.good : style.dim),
  },
  { title: 'OPEN', cell: (n) => formatCount(n.inFlight) },
  { title: 'CPU', cell: (n) => (n.load ? `${Math.round(n.load.cpu * 100)} %` : '-') },
  { title: 'MEMORY', cell: (n) => (n.load ? formatBytes(n.load.memoryBytes) : '-') },
  {
    title: 'FAILED',
    cell: (n) => shareOf(n.failures, n.calls),
    paint: (n, style) => (n.failures > 0 ? style.bad : undefined),
  },
  { title: 'UP', cell: (n) => formatAge(n.upMs) },
  { title: 'TAGS', cell: (n) => tagsOf(n), isText: true },
  { title: 'FUNCTIONS', cell: (n) => cutEnd(n.functions.map((f) => f.name).join(' '), 60), isText: true },
]

const TOP_COLUMNS: readonly Column<TopRow>[] = [
  {
    title: 'STATUS',
    cell: (r) => r.status,
    isText: true,
    paint: (r, style) => (r.status === 'running' ? style.good : r.status === 'no node' ? style.warn : style.dim),
  },
  { title: 'OPEN', cell: (r) => formatCount(r.inFlight) },
  {
    title: 'PROGRESS',
    cell: (r) => (r.kind === 'stream' ? `${formatCount(r.items)} items` : `${formatCount(r.calls)} calls`),
  },
  { title: 'RATE', cell: rateOf },
  { title: 'LATENCY', cell: (r) => (r.latencyMs === null ? '-' : formatDuration(r.latencyMs)) },
  {
    title: 'FAILED',
    cell: (r) => shareOf(r.failed, r.calls),
    paint: (r, style) => (r.failed > 0 ? style.bad : undefined),
  },
  { title: 'BYTES', cell: (r) => formatBytes(r.bytes) },
  { title: 'NODES', cell: (r) => cutEnd(r.nodes.join(' '), 40), isText: true },
]

export function nodeTable(nodes: readonly NodeStatus[], width: number, style: Style): string[] {
  if (nodes.length === 0) return ['no nodes are connected. Start one: millrace node FILE --id NAME']
  return tableLines('NODE', nodes, (node) => node.id, NODE_COLUMNS, width, style)
}

export function topLines(
  rows: readonly TopRow[],
  { stats, nodes }: TopSample,
  width: number,
  style: Style,
  hasResources: boolean,
): string[] {
  const facts = [
    `${stats.nodes} nodes`,
    `${stats.clients} clients`,
    `${formatCount(stats.inFlight)} open`,
    `${formatCount(stats.failed)} failed of ${formatCount(stats.opened)}`,
  ]
  const head = style.bold(cutEnd(facts.join('   '), width))
  const used = rows.filter((row) => row.calls > 0)
  const unused = rows.filter((row) => row.calls === 0).map((row) => row.name)
  const functions = [
    ...(used.length === 0 ? [] : tableLines('STREAM OR FUNCTION', used, (row) => row.name, TOP_COLUMNS, width, style)),
    ...(unused.length === 0
      ? []
      : [style.dim(cutEnd(plain(`not called yet (${unused.length}): ${unused.join(' ')}`), width))]),
    ...(rows.length === 0 ? ['no functions yet: no node is connected'] : []),
  ]
  if (!hasResources || nodes.length === 0) return [head, '', ...functions]
  return [head, '', ...functions, '', ...tableLines('NODE', nodes, (node) => node.id, NODE_COLUMNS, width, style)]
}

function tableLines<R>(
  title: string,
  rows: readonly R[],
  nameOf: (row: R) => string,
  all: readonly Column<R>[],
  width: number,
  style: Style,
): string[] {
  const longest = Math.min(NAME_MAX, Math.max(title.length, ...rows.map((row) => nameOf(row).length)))
  let columns = [...all]
  const widthOf = (c: Column<R>): number => Math.max(c.title.length, ...rows.map((row) => c.cell(row).length))
  const used = (): number => columns.reduce((sum, c) => sum + 2 + widthOf(c), 0)
  while (columns.length > 0 && used() + Math.min(longest, 20) > width) columns = columns.slice(0, -1)
  const nameWidth = Math.max(NAME_MIN, Math.min(longest, width - used()))
  const pad = (c: Column<R>, text: string): string => (c.isText ? padEnd(text, widthOf(c)) : padStart(text, widthOf(c)))
  const line = (name: string, cells: readonly string[]): string =>
    [padEnd(cutMiddle(plain(name), nameWidth), nameWidth), ...cells].join('  ').trimEnd()
  const head = style.dim(
    line(
      title,
      columns.map((c) => pad(c, c.title)),
    ),
  )
  const body = rows.map((row) =>
    line(
      nameOf(row),
      columns.map((c) => (c.paint?.(row, style) ?? ((text: string) => text))(pad(c, plain(c.cell(row))))),
    ),
  )
  return [head, ...body]
}

function rateOf(row: TopRow): string {
  const perS = row.kind === 'stream' ? row.itemsPerS : row.callsPerS
  return perS === 0 ? '-' : formatRate(perS)
}

/** `3/120`, or a dash while nothing has failed. */
function shareOf(failed: number, total: number): string {
  return failed === 0 ? '-' : `${formatCount(failed)}/${formatCount(total)}`
}

function tagsOf({ tags }: NodeStatus): string {
  const text = Object.entries(tags)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ')
  return text === '' ? '-' : cutEnd(text, 40)
}
