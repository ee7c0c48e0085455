/** The sources of the three branches, as the settings want them. The flow behind them does not know which they are. */
import { readFileSync } from 'node:fs'
import { logTopic } from '@millrace/connectors/log'
import { framePool } from '@millrace/connectors/video'
import { webSocketIngest } from '@millrace/connectors/websocket'
import type { Source } from 'millrace'
import { camera } from './camera.ts'
import { nowMs } from './clock.ts'
import type { ControlInputs } from './flow.ts'
import { language, ORDERS, ORDERS_EVERY_MS, parseScript, script, type WordFeed } from './language.ts'
import type { SensorRecord, VisionRecord, WordRecord } from './records.ts'
import { sensors } from './sensors.ts'
import type { Settings } from './settings.ts'
import { counted } from './tally.ts'
import { stdinLines } from './text-lines.ts'
import { lasting, mapped } from './wrap-source.ts'

const ROBOT = 'arm'
const FPS = 30
const HZ = 100
const WIDTH = 1920
const HEIGHT = 1080

export interface ChosenInputs extends ControlInputs {
  /** What they are, in words. */
  readonly about: string
}

export function chooseInputs(settings: Settings): ChosenInputs {
  const { log, follow } = settings
  if (log === undefined) return liveInputs(settings)
  // To act on frames of an hour ago is no control: who follows begins with what comes next.
  const from = follow ? 'latest' : 'earliest'
  const topic = <T>(name: string) => logTopic<T>({ log, topic: name, partitions: 1, follow, from })
  return {
    about: `topics vision, sensors and language of the log ${log}: features and no pixels`,
    vision: counted('frames', topic<VisionRecord>('vision')),
    sensors: counted('readings', topic<SensorRecord>('sensors')),
    language: counted('words', topic<WordRecord>('language')),
    pool: undefined,
  }
}

function liveInputs({ camera: input, language: said, seconds }: Settings): ChosenInputs {
  const pool = framePool('camera', { width: WIDTH, height: HEIGHT })
  const frames = seconds === undefined ? undefined : Math.ceil(seconds * FPS)
  const ticks = seconds === undefined ? undefined : Math.ceil(seconds * HZ)
  const seen = input === undefined ? 'a drawn scene, no camera' : `${input}, decoded by ffmpeg`
  return {
    about: `vision: ${seen}, ${FPS} frames/s of ${WIDTH} x ${HEIGHT}; ${HZ} Hz of made-up sensors; language: ${said}`,
    vision: counted('frames', camera({ robot: ROBOT, pool, fps: FPS, input, frames, now: nowMs })),
    sensors: counted('readings', sensors({ robot: ROBOT, hz: HZ, ticks, now: nowMs })),
    language: counted('words', lasting(languageOf(said), seconds, nowMs)),
    pool,
  }
}

function languageOf(said: string): Source<WordRecord> {
  const port = /^ws:(\d+)$/.exec(said)?.[1]
  if (port === undefined) return language(feedOf(said), ROBOT, nowMs)
  const messages = webSocketIngest<{ readonly text: unknown }>({ port: Number(port) })
  return mapped(messages, ({ text }): WordRecord => ({ robot: ROBOT, at: nowMs(), text: String(text) }))
}

function feedOf(said: string): WordFeed {
  if (said === 'script') return script(ORDERS, ORDERS_EVERY_MS)
  if (said === 'stdin') return stdinLines
  if (said.startsWith('script:')) return script(parseScript(readFileSync(said.slice('script:'.length), 'utf8')))
  throw new Error(`VLA_LANGUAGE is "${said}"; it is script, script:FILE, stdin or ws:PORT.`)
}
