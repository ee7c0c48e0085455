/** For the tests of the log: a flow whose topics name no log, so that they lie in that of the run. */
import { logTopic } from '@millrace/connectors/log'
import { dataflow } from 'millrace'

const flow = dataflow('copy')
flow
  .source('in', logTopic<{ n: number }>({ topic: 'in', follow: false }), { time: 'processing' })
  .keyBy((row) => row.n)
  .dedupe('once', { by: (row) => row.n, within: '1h' })
  .sink('out', logTopic({ topic: 'out' }))
export default flow
