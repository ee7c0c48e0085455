/** For the tests of the live connectors: a keyed flow as a module of its own, so that it runs in threads. */
import { jsonLines } from '@millrace/connectors/file'
import { httpIngest } from '@millrace/connectors/http'
import { webSocketBroadcast } from '@millrace/connectors/websocket'
import { dataflow } from 'millrace'

interface Row {
  readonly key: string
  readonly n: number
}

const flow = dataflow('live-threads')
const rows = flow
  .source('in', httpIngest<Row>({ port: 0 }), { time: 'processing' })
  .keyBy((r) => r.key)
  .process<Row>('pass', () => ({ onRecord: (row, ctx) => ctx.emit(row) }))
rows.sink('out', jsonLines({ path: process.env.MILLRACE_TEST_OUT ?? 'out.jsonl', existing: 'replace' }))
rows.sink('live', webSocketBroadcast({ port: 0, slow: 'block' }))
export default flow
