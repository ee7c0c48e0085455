/** What `millrace capacity` prints: batch beside stream, whether the step keeps up, and what holds for many points. */
import type { Capacity, CapacityOptions, QueueGrowth } from 'millrace'
import { padEnd, padStart, type Style, wrapWords } from './style.ts'

/** Sentences stay readable on a wide terminal. */
const TEXT_COLUMNS_MAX = 100

export function capacityLines(given: CapacityOptions, result: Capacity, width: number, style: Style): string[] {
  const text = (sentence: string): string[] => wrapWords(sentence, Math.min(width, TEXT_COLUMNS_MAX))
  return [
    ...text(headline(given, result)),
    '',
    ...comparisonLines(result, style),
    '',
    ...(result.stream.queue === undefined
      ? text(keepingUp(given))
      : fallingBehind(given, result, result.stream.queue).flatMap(text).map(style.warn)),
    '',
    style.dim('FOR MANY POINTS (dt: interval, p: process)'),
    ...limits(given, result).flatMap(text),
  ]
}

function headline({ points, intervalMs, processMs, sizeBytes }: CapacityOptions, { stream }: Capacity): string {
  const arrival = intervalMs === 0 ? 'all there at once' : `one every ${seconds(intervalMs)}`
  const many = points === 1 ? '1 point' : `${decimal(points)} points`
  return `${many} of ${bytes(sizeBytes)}, ${arrival}, ${seconds(processMs)} of work on each, ${decimal(stream.inFlight)} in flight`
}

function comparisonLines({ batch, stream, comparison }: Capacity, style: Style): string[] {
  const rows = [
    ['', 'BATCH', 'STREAM', ''],
    [
      stream.canKeepUp ? 'latency' : 'latency (last)',
      seconds(batch.latencyMs),
      seconds(stream.latencyMs),
      less(comparison.latencyReduction),
    ],
    [
      'throughput',
      perSecond(batch.throughputPerSecond),
      perSecond(stream.throughputPerSecond),
      comparison.throughputGain === 1 ? SAME : `${decimal(comparison.throughputGain)} times`,
    ],
    ['memory', bytes(batch.memoryBytes), bytes(stream.memoryBytes), less(comparison.memoryReduction)],
  ]
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)))
  const lines = rows.map(([name, ...cells]) =>
    [padEnd(name, widths[0]), ...cells.map((cell, i) => padStart(cell, widths[i + 1]))].join('   ').trimEnd(),
  )
  return lines.map((line, i) => (i === 0 ? style.dim(line) : line))
}

const SAME = 'the same'

function less(share: number): string {
  return share === 0 ? SAME : `${percent(share)} less`
}

function keepingUp({ intervalMs, processMs }: CapacityOptions): string {
  if (processMs === intervalMs)
    return 'The step keeps up, with nothing to spare: any delay makes a queue that never goes away.'
  return `The step keeps up: it works ${percent(processMs / intervalMs)} of the time, and no queue grows.`
}

function fallingBehind(given: CapacityOptions, { stream }: Capacity, queue: QueueGrowth): string[] {
  const { inFlight, pointsAtOnce, latencyMs } = stream
  const grows =
    queue.growthPerSecond === undefined
      ? 'all points are in the queue in front of it from the beginning.'
      : `the queue in front of it grows by ${decimal(queue.growthPerSecond)} points/s.`
  const wait =
    given.points === 1 ? '' : ` The first point takes ${seconds(given.processMs)}, the last ${seconds(latencyMs)}.`
  const lines = [`The step falls behind: ${grows}${wait}`]
  if (queue.fullAfterMs !== undefined) {
    lines.push(
      `${decimal(inFlight)} in flight are full after ${seconds(queue.fullAfterMs)}. From then on the source waits ` +
        `(whenFull: 'block'), or points are dropped. All of them need --inflight ${pointsAtOnce}: ` +
        `${bytes(pointsAtOnce * given.sizeBytes)}.`,
    )
  }
  if (queue.workersNeeded !== undefined) {
    lines.push(
      `To keep up: ${decimal(queue.workersNeeded)} workers or calls at a time (mapAsync), at most ` +
        `${seconds(given.intervalMs)} of work on a point, or fewer points (sample, throttle).`,
    )
  } else lines.push('Only more workers end a backlog sooner; a stream gives its first results at once.')
  return lines
}

function limits({ intervalMs, processMs }: CapacityOptions, { stream, limits: to }: Capacity): string[] {
  const latency = stream.canKeepUp ? '' : '2dt/(dt+p) = '
  const gain = stream.canKeepUp ? '1 + p/dt' : '1 + dt/p'
  const kept = stream.canKeepUp ? '' : `; towards ${percent(intervalMs / processMs)} where every point is kept`
  return [
    `latency reduction   towards ${latency}${percent(to.latencyReduction)}, from dt/(dt+p) = ${percent(to.collectingShare)} for one point`,
    `throughput gain     ${gain} = ${decimal(to.throughputGain)}`,
    `memory reduction    towards ${percent(to.memoryReduction)}, with ${decimal(stream.inFlight)} in flight${kept}`,
  ]
}

/** Always in seconds, as the figures are given. */
function seconds(ms: number): string {
  return `${decimal(ms / 1000)} s`
}

function perSecond(rate: number): string {
  return `${decimal(rate)}/s`
}

function bytes(n: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB', 'ZB']
  const unit = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(n) / 3)))
  return `${decimal(n / 1000 ** unit)} ${units[unit]}`
}

/** Two decimals; what is not everything never reads 100 %. */
function percent(share: number): string {
  const rounded = Math.round(share * 10_000) / 100
  return `${share < 1 ? Math.min(99.99, rounded) : 100} %`
}

/** Two decimals, or three significant digits below 1; no zeros at the end. */
function decimal(value: number): string {
  const rounded = value >= 1 ? Math.round(value * 100) / 100 : Number(value.toPrecision(3))
  const [whole, fraction] = String(rounded).split('.')
  const grouped = whole.includes('e') ? whole : whole.replace(/\B(?=(\d{3})+$)/g, ',')
  return fraction === undefined ? grouped : `${grouped}.${fraction}`
}
