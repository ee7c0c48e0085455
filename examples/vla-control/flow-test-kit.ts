/** The control loop on a clock that the test moves. Frames are 64 x 36 and real: pixels in a pool, a lamp in the dark. */
import { type FrameHandle, type FramePool, framePool } from '@millrace/connectors/video'
import { dataflow } from 'millrace'
import { arraySink, arraySource, type TestFlow, testFlow } from 'millrace/testing'
import type { ActionGenerator } from './action-generator.ts'
import { type ControlOptions, describeControl } from './flow.ts'
import type { Action, FrameRecord, SensorRecord, Situation, WordRecord } from './records.ts'

export const START = 1_700_000_000_000
const WIDTH = 64
const HEIGHT = 36

/** The clock starts so long before START, so that language is known to be silent. */
const QUIET_MS = 2000

let count = 0

/** Tells what it was given instead of deciding. Times are ms after START. */
export const echo: ActionGenerator = {
  kind: 'echo',
  act: ({ pose, word }: Situation) =>
    JSON.stringify({
      pose: pose === undefined ? null : pose.at - START,
      values: pose?.values ?? null,
      word: word?.text ?? null,
    }),
}

export interface LoopTest {
  readonly test: TestFlow
  readonly pool: FramePool
  /** A frame that was exposed `at` ms after START arrives now, with a lamp in its middle. */
  frame(at: number): Promise<void>
  /** The same, with no lamp. */
  darkFrame(at: number): Promise<FrameRecord>
  /** The sensors named a, b, ... are read `at` ms after START, and arrive now. */
  readings(at: number, ...values: readonly number[]): Promise<void>
  word(at: number, text: string): Promise<void>
  /** Moves the clock to `ms` after START. */
  until(ms: number): Promise<void>
  actions(): Action[]
  /** What the echo generator was given, by frame. */
  given(): {
    readonly at: number
    readonly pose: number | null
    readonly values: object | null
    readonly word: string | null
  }[]
}

/** The loop at START: nothing was said, the camera has just shown a dark room. */
export async function controlTest(options: Partial<Omit<ControlOptions, 'actions'>> = {}): Promise<LoopTest> {
  const pool = framePool(`loop ${count++}`, { width: WIDTH, height: HEIGHT })
  const flow = dataflow('loop')
  describeControl(
    flow,
    { vision: arraySource([]), sensors: arraySource([]), language: arraySource([]), pool },
    { generator: echo, ...options, actions: arraySink<Action>([]) },
  )
  const loop = kit(testFlow(flow, { now: START - QUIET_MS }), pool)
  await loop.until(0)
  await loop.darkFrame(0)
  return loop
}

/** The words of the kit for a flow under test, also for one that was restored. */
export function kit(test: TestFlow, pool: FramePool): LoopTest {
  const send = async (at: number, isDark: boolean): Promise<FrameRecord> => {
    const record: FrameRecord = { robot: 'arm', at: START + at, frame: drawn(pool, isDark) }
    await test.send('vision', [record])
    return record
  }
  return {
    test,
    pool,
    frame: async (at) => void (await send(at, false)),
    darkFrame: (at) => send(at, true),
    async readings(at, ...values) {
      const records = values.map((value, i): SensorRecord => {
        return { robot: 'arm', at: START + at, sensor: 'abcdefghij'[i], value }
      })
      await test.send('sensors', records)
    },
    async word(at, text) {
      const record: WordRecord = { robot: 'arm', at: START + at, text }
      await test.send('language', [record])
    },
    async until(ms) {
      const left = START + ms - test.now
      if (left > 0) await test.advance(`${left}ms`)
    },
    actions: () => test.output<Action>('actions'),
    given: () =>
      test
        .output<Action>('actions')
        .filter(({ by }) => by === echo.kind)
        .map(({ at, action }) => ({ at: at - START, ...JSON.parse(action) })),
  }
}

function drawn(pool: FramePool, isDark: boolean): FrameHandle {
  const draft = pool.begin()
  draft.pixels.fill(20)
  for (let y = 14; y < 22 && !isDark; y++) draft.pixels.fill(240, (y * WIDTH + 28) * 3, (y * WIDTH + 36) * 3)
  return draft.finish()
}
