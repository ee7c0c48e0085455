/** For the tests of the log: a process that runs a flow log -> window -> log until it is killed. */
import { logTopic } from '@millrace/connectors/log'
import { count, dataflow, sum, tumbling } from 'millrace'

interface Reading {
  readonly key: string
  readonly at: number
  readonly value: number
}

const [folder, state] = process.argv.slice(2)
const flow = dataflow('windows')
flow
  .source('in', logTopic<Reading>({ log: folder, topic: 'in' }), { time: (r) => r.at, disorder: '10ms' })
  .keyBy((r) => r.key)
  .window(tumbling('100ms'))
  .aggregate('sums', { n: count(), total: sum((r) => r.value) })
  .sink('out', logTopic({ log: folder, topic: 'out', partitions: 2, key: (r) => String(r.key) }))
await flow.run({ state, commitEvery: '30ms' })
