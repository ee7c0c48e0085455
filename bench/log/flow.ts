/** The measured flow: every record of a topic into another one, exactly once. The run says where the log lies. */
import { logTopic } from '@millrace/connectors/log'
import { dataflow } from 'millrace'
import { TOPIC } from './appends.ts'

export interface Row {
  readonly key: string
  readonly at: number
  readonly value: number
}

export const copy = dataflow('log-to-log')
copy
  .source('in', logTopic<Row>({ topic: TOPIC, follow: false }), { time: (row) => row.at, disorder: '1s' })
  .sink('out', logTopic({ topic: 'copy', partitions: 4, key: (row) => row.key }))
