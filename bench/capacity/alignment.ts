/**
 * Three modalities in one result, by windows and by an as-of join: how old is the oldest record of a result when it
 * comes? Flows of the engine in virtual time, so the answer is exact.
 *
 * Frames come at 30/s, readings at 100 Hz, words at irregular times. Frames and words count as idle between two of
 * them, so the readings close the windows.
 */
import { collect, dataflow, hopping, tumbling, type WindowSpec } from 'millrace'
import { arraySink, arraySource, testFlow } from 'millrace/testing'

export interface Alignment {
  readonly by: string
  /** Age of the oldest record of a result when it comes, the largest over all results. */
  readonly waitMs: number
  /** On a result, as the application has it. */
  readonly workMs: number
  /** Wait and work, as the application has it. */
  readonly saidMs: number | undefined
}

interface Row {
  readonly from: 'camera' | 'sensor' | 'language'
  readonly at: number
}

const SECONDS = 3
const START_MS = Date.UTC(2024, 0, 1)
const WORDS_MS = [70, 410, 1_130, 1_890, 2_640]
const time = { time: (row: Row) => row.at, disorder: '0ms', idleAfter: '2ms' } as const

export async function alignments(): Promise<Alignment[]> {
  return [
    { by: 'batch of 1 s', waitMs: await windowWaitMs(tumbling('1s')), workMs: 100, saidMs: 1100 },
    { by: 'windows of 100 ms', waitMs: await windowWaitMs(tumbling('100ms')), workMs: 0, saidMs: 100 },
    { by: 'sliding 50/25 ms', waitMs: await windowWaitMs(hopping('50ms', '25ms')), workMs: 30, saidMs: 80 },
    { by: 'as-of join, driven by the frame', waitMs: await asOfWaitMs(), workMs: 30, saidMs: undefined },
  ]
}

function windowWaitMs(window: WindowSpec): Promise<number> {
  const flow = dataflow('aligned')
  const [camera, sensor, language] = sources(flow)
  camera
    .union(sensor, language)
    .windowAll(window)
    .aggregate('align', { rows: collect<Row>() })
    .map(({ rows }) => Math.min(...rows.map(({ at }) => at)))
    .sink('out', arraySink<number>([]))
  return oldestMs(flow)
}

/** The frame is the oldest record that a result waits for: those it is joined with are there before. */
function asOfWaitMs(): Promise<number> {
  const flow = dataflow('as-of')
  const robot = (): string => 'robot'
  const [camera, sensor, language] = sources(flow)
  camera
    .keyBy(robot)
    .asOf(
      'fuse',
      {
        reading: { stream: sensor.keyBy(robot), within: '20ms', required: true },
        word: { stream: language.keyBy(robot), within: '10s' },
      },
      { wait: '10ms' },
    )
    .map(({ left }) => left.at)
    .sink('out', arraySink<number>([]))
  return oldestMs(flow)
}

function sources(flow: ReturnType<typeof dataflow>) {
  const source = (name: Row['from']) => flow.source(name, arraySource<Row>([]), time)
  return [source('camera'), source('sensor'), source('language')] as const
}

/** Lets every record arrive at its own time, and looks after each of them what came out. */
async function oldestMs(flow: ReturnType<typeof dataflow>): Promise<number> {
  const test = testFlow(flow, { now: START_MS })
  const arrivals = [...every(1000 / 30, 'camera'), ...every(10, 'sensor'), ...WORDS_MS.map((ms) => row('language', ms))]
  let oldest = 0
  let seen = 0
  const look = (): void => {
    const results = test.output<number>('out')
    for (const at of results.slice(seen)) oldest = Math.max(oldest, test.now - at)
    seen = results.length
  }
  try {
    for (const arrival of arrivals.sort((a, b) => a.at - b.at)) {
      for (let waitMs = Math.ceil(arrival.at - test.now); waitMs > 0; waitMs--) {
        await test.advance('1ms')
        // Those that come seldom look for something every millisecond; finding nothing, they are idle after a while.
        await test.send('camera', [])
        await test.send('language', [])
        look()
      }
      await test.send(arrival.from, [arrival])
      look()
    }
  } finally {
    test.close()
  }
  return oldest
}

function every(periodMs: number, from: Row['from']): Row[] {
  return Array.from({ length: Math.floor((SECONDS * 1000) / periodMs) }, (_, i) => row(from, i * periodMs))
}

function row(from: Row['from'], ms: number): Row {
  return { from, at: START_MS + ms }
}
