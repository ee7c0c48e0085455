/**
 * Perception alone: what camera, sensors and language give, into the topics vision, sensors and language of an embedded
 * log, for a control loop in another process. `VLA_TOPICS` is the folder of the log; the rest is as in settings.ts.
 *
 * A record of vision carries features and no pixels: 30 frames of 6 MB are 187 MB a second through a log that syncs every
 * commit, and nobody reads them twice. Whoever needs pixels has to be where the camera is.
 */
import { logTopic } from '@millrace/connectors/log'
import { dataflow } from 'millrace'
import { chooseInputs } from './inputs.ts'
import { look } from './look.ts'
import type { FeatureRecord, SensorRecord, WordRecord } from './records.ts'
import { settingsOf } from './settings.ts'

const log = process.env.VLA_TOPICS ?? '.millrace/log'
const inputs = chooseInputs({ ...settingsOf(process.env), log: undefined })
const topic = <T extends { readonly robot: string }>(name: string) =>
  logTopic<T>({ log, topic: name, partitions: 1, key: (record) => record.robot })
const byTime = { time: (record: { readonly at: number }) => record.at, disorder: '0ms' } as const

const flow = dataflow('vla-perceive')
flow
  .source('camera', inputs.vision, byTime)
  .keyBy((record) => record.robot)
  .apply((records) => look(records, inputs.pool))
  .map(({ robot, at, features }): FeatureRecord => ({ robot, at, features }))
  .sink('vision', topic<FeatureRecord>('vision'))
flow.source('readings', inputs.sensors, byTime).sink('sensors', topic<SensorRecord>('sensors'))
flow.source('words', inputs.language, { ...byTime, idleAfter: '5ms' }).sink('language', topic<WordRecord>('language'))

export default flow
