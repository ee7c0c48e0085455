/** What is printed when both streams have ended: "Real-time Summary" and "Detailed Statistics". */
import type { NodeStatus } from '@millrace/remote'
import { DataRow, InferenceRow, type StreamRow } from './rows.ts'
import { cut, plain, wrapped } from './table.ts'

export interface Ended {
  readonly rows: readonly StreamRow[]
  readonly nowMs: number
  readonly startMs: number
  readonly nodes: readonly NodeStatus[]
}

/** The figures, for JSON lines. */
export function summaryOf({ rows, nowMs, startMs, nodes }: Ended) {
  return {
    elapsed: seconds(nowMs - startMs),
    streams: rows.length,
    failed: rows.filter(({ status }) => status === 'failed').length,
    active_together: seconds(togetherMs(rows, nowMs)),
    data: rows.filter((row) => row instanceof DataRow).map((row) => dataFigures(row, nowMs)),
    ml: rows.filter((row) => row instanceof InferenceRow).map((row) => inferenceFigures(row, nowMs)),
    nodes: nodes.map(({ id, load }) => ({ id, cpu: load?.cpu ?? null, memory_bytes: load?.memoryBytes ?? null })),
  }
}

function dataFigures(row: DataRow, nowMs: number) {
  const sorted = [...row.latencies].sort((a, b) => a - b)
  const quantile = (q: number): number | null =>
    sorted.length === 0 ? null : thousandths(sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))])
  return {
    name: row.name,
    status: row.status,
    samples: row.samples,
    duration: row.last?.elapsed_time ?? 0,
    rate: perSecond(row.samples, row.secondsAt(nowMs)),
    warnings: row.warnings,
    latest_readings: row.last?.readings ?? {},
    latency_ms: { p50: quantile(0.5), p99: quantile(0.99) },
    error: row.failure ?? null,
  }
}

function inferenceFigures(row: InferenceRow, nowMs: number) {
  return {
    name: row.name,
    status: row.status,
    requested: row.requested,
    runs: row.runs,
    simulated: row.isSimulated,
    batches: row.batches,
    images: row.images,
    batch_rate: perSecond(row.batches, row.secondsAt(nowMs)),
    inference_time: thousandths(row.inferenceSeconds),
    images_per_second: perSecond(row.images, row.inferenceSeconds),
    latest: row.latest ?? null,
    error: row.failure ?? null,
  }
}

export function summaryLines(ended: Ended, width: number): string[] {
  const { elapsed, failed, streams, active_together, data, ml, nodes } = summaryOf(ended)
  const lines: string[] = []
  for (const { status, samples, rate } of data)
    lines.push(fact('Data Processing', `${samples} samples, ${rate}/s, ${status}`))
  for (const [i, { status, batches, batch_rate }] of ml.entries())
    lines.push(fact(ended.rows[i + data.length].title, `${batches} batches, ${batch_rate}/s, ${status}`))
  lines.push(fact('Elapsed', `${elapsed} s, both active for ${active_together} s`))
  lines.push(fact('Errors', `${failed} of ${streams} streams failed (${Math.round((100 * failed) / streams)} %)`))

  const details: string[] = []
  for (const [i, { samples, duration, rate, warnings, latency_ms }] of data.entries()) {
    const row = ended.rows[i] as DataRow
    details.push('Data Processing')
    details.push(fact('  samples', `${samples} in ${duration} s, average rate ${rate}/s`))
    for (const sensor of Object.keys(row.last?.readings ?? {})) details.push(fact(`  ${sensor}`, row.reading(sensor)))
    details.push(fact('  warnings', `${warnings}`))
    if (latency_ms.p50 !== null)
      details.push(fact('  sample to client', `p50 ${latency_ms.p50} ms, p99 ${latency_ms.p99} ms`))
  }
  for (const [i, { batches, images, inference_time, images_per_second, runs }] of ml.entries()) {
    const row = ended.rows[i + data.length] as InferenceRow
    details.push(row.title)
    details.push(
      fact(
        '  model',
        `${runs}${row.isSimulated ? ', simulated' : row.requested === runs ? '' : `, asked for as ${row.requested}`}`,
      ),
    )
    details.push(fact('  images', `${images} in ${batches} batches`))
    details.push(fact('  inference time', `${inference_time} s, ${images_per_second} images/s`))
    if (row.latest !== undefined) details.push(fact('  latest class', row.latestFacts().join(', ')))
  }
  const loads = nodes.filter(({ cpu }) => cpu !== null)
  if (loads.length > 0) details.push('Nodes')
  for (const { id, cpu, memory_bytes } of loads)
    details.push(fact(`  ${id}`, `CPU ${Math.round(100 * (cpu ?? 0))} %, memory ${mebibytes(memory_bytes ?? 0)}`))
  return [...panel('Real-time Summary', lines, width), '', ...panel('Detailed Statistics', details, width)]
}

function fact(name: string, value: string): string {
  return `${name.padEnd(18)} ${plain(value)}`.trimEnd()
}

const PANEL_WIDTH_MAX = 78

function panel(title: string, lines: readonly string[], width: number): string[] {
  const inner = Math.max(20, Math.min(PANEL_WIDTH_MAX, width) - 4)
  const top = `+- ${title} ${'-'.repeat(Math.max(0, inner - title.length - 1))}+`
  const body = lines.flatMap((line) => (line.length <= inner ? [line] : wrapped(line, inner)))
  return [top, ...body.map((line) => `| ${cut(line, inner).padEnd(inner)} |`), `+${'-'.repeat(inner + 2)}+`]
}

/** How long more than one stream was active. */
function togetherMs(rows: readonly StreamRow[], nowMs: number): number {
  const spans = rows.flatMap(({ startMs, endMs }) =>
    startMs === undefined ? [] : [{ startMs, endMs: endMs ?? nowMs }],
  )
  if (spans.length < 2) return 0
  const ends = spans.map(({ endMs }) => endMs).sort((a, b) => b - a)
  return Math.max(0, ends[1] - Math.max(...spans.map(({ startMs }) => startMs)))
}

function perSecond(count: number, overSeconds: number): number {
  return overSeconds > 0 ? Math.round((100 * count) / overSeconds) / 100 : 0
}

function seconds(ms: number): number {
  return Math.round(ms / 10) / 100
}

function thousandths(value: number): number {
  return Math.round(value * 1000) / 1000
}

function mebibytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(0)} MiB`
}
