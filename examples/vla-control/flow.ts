/**
 * The control loop: camera, sensors and language become a stream of actions. The same whatever the sources are.
 *
 *   vision    -> look (features) -> confidence > 0.5 --+
 *   sensors   -> pose (last value of each) ------------+-> fuse, as of the frame -> act -> actions
 *   language  -----------------------------------------+          |
 *                       words too late for the fusion ------------+
 *
 * The frame drives it: for each frame the pose and the words as of the frame's time. It is decided as soon as both
 * streams have passed the frame, at the latest 10 ms (a period of the sensors) after it came: a window of any size would
 * add that size to every action.
 */
import type { FramePool } from '@millrace/connectors/video'
import type { Dataflow, Duration, Sink, Source } from 'millrace'
import type { ActionGenerator } from './action-generator.ts'
import { look } from './look.ts'
import type { Action, Pose, SensorRecord, Situation, VisionRecord, WordRecord } from './records.ts'

export interface ControlInputs {
  readonly vision: Source<VisionRecord>
  readonly sensors: Source<SensorRecord>
  readonly language: Source<WordRecord>
  /** Where the pixels of frames are; sources that give features need none. */
  readonly pool: FramePool | undefined
}

export interface ControlOptions {
  readonly generator: ActionGenerator
  readonly actions: Sink<Action>
  /**
   * Default '10ms'. 'watermark' is for a second look at what was recorded: decided by event time alone, and without the
   * watchdog, which goes by the clock.
   */
  readonly wait?: 'watermark' | Duration
  /** How long the camera may be silent before the robot is told to hold. Default 200 ms: six frames. */
  readonly holdAfterMs?: number
}

/** Less is not worth acting on. */
export const CONFIDENCE_MIN = 0.5
/** A pose that is older than five periods of the sensors is none. */
const POSE_WITHIN: Duration = '50ms'

export function describeControl(flow: Dataflow, inputs: ControlInputs, options: ControlOptions): void {
  const { generator, actions, wait = '10ms', holdAfterMs = 200 } = options
  const byTime = { time: (record: { readonly at: number }) => record.at, disorder: '0ms' } as const

  const vision = flow
    // A camera that stalls must not make the sensors wait for it. When it is back, the first frame may be late, and is
    // counted: the others have gone on without it.
    .source('vision', inputs.vision, { ...byTime, idleAfter: '1s' })
    .keyBy((record) => record.robot)
    .apply((records) => look(records, inputs.pool))
    .filter((seen) => seen.features.confidence > CONFIDENCE_MIN)
    .keyBy((seen) => seen.robot)

  const poses = flow
    .source('sensors', inputs.sensors, { ...byTime, idleAfter: '1s' })
    .keyBy((record) => record.robot)
    .process<Pose>('pose', (setup) => {
      const last = setup.value<Readonly<Record<string, number>>>('values', { default: {} })
      return {
        onRecord({ robot, at, sensor, value }, ctx) {
          const values = { ...last.get(), [sensor]: value }
          last.set(values)
          ctx.emit({ robot, at, values })
        },
      }
    })
    .keyBy((pose) => pose.robot)

  const words = flow
    // Nobody speaks for seconds, and silence must not hold the frames back.
    .source('language', inputs.language, { ...byTime, idleAfter: '5ms' })
    .keyBy((word) => word.robot)

  const fused = vision.asOf(
    'fuse',
    {
      // No fill: a robot must not act on a pose of the past, and the generator can tell that there is none.
      pose: { stream: poses, within: POSE_WITHIN },
      // An order holds until the next one.
      word: { stream: words, within: '0ms', fill: 'last' },
    },
    { wait },
  )
  // Words that come when frames of their time have been decided: recognised late, or read late from a topic. The join
  // has no more use for them, but a "stop" must never be lost: it counts from the next action on.
  const lateWords = fused
    .output('late')
    .filter(isWord)
    .keyBy((word) => word.robot)

  fused
    .keyBy((row) => row.key)
    .processWith<WordRecord, Action>(
      'act',
      lateWords,
      (setup) => {
        const lateWord = setup.value<WordRecord>('late word')
        const timer = setup.value<number>('timer')
        return {
          onRecord({ left, pose, word }, ctx) {
            const { robot, at, features: seen } = left
            const situation: Situation = { robot, at, seen, pose, word: newest(word, lateWord.get()) }
            ctx.emit({ robot, at, action: generator.act(situation), by: generator.kind })
            if (wait === 'watermark') return
            const before = timer.get()
            if (before !== undefined) ctx.timers.deleteProcessing(before)
            const next = ctx.now() + holdAfterMs
            ctx.timers.processing(next)
            timer.set(next)
          },
          onRecord2(word) {
            lateWord.set(newest(word, lateWord.get()) as WordRecord)
          },
          onTimer(_timer, ctx) {
            timer.clear()
            const at = ctx.now()
            const action = `hold: nothing to act on for ${holdAfterMs} ms`
            ctx.emit({ robot: ctx.key, at, action, by: 'watchdog' }, at)
          },
        }
      },
      { timed: true },
    )
    .sink('actions', actions)
}

function isWord(record: unknown): record is WordRecord {
  return typeof record === 'object' && record !== null && 'text' in record
}

function newest(a: WordRecord | undefined, b: WordRecord | undefined): WordRecord | undefined {
  return a === undefined || (b !== undefined && b.at > a.at) ? b : a
}
