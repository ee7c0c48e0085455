/** For the tests of sockets: a process that runs a flow from TCP lines to a file, in threads, until it is killed. */
import { join } from 'node:path'
import { jsonLines } from '@millrace/connectors/file'
import { tcpServerSource } from '@millrace/connectors/socket'
import { dataflow } from 'millrace'

interface Row {
  readonly s: number
  readonly n: number
}

const flow = dataflow('lines-until-killed')
flow
  .source('lines', tcpServerSource<Row>({ port: Number(process.env.MILLRACE_TEST_PORT), ack: 'lines' }), {
    time: 'processing',
    onError: 'skip',
  })
  .keyBy((r) => r.s)
  .process<Row>('pass', () => ({ onRecord: (row, ctx) => ctx.emit(row) }))
  .sink('out', jsonLines({ path: join(process.env.MILLRACE_TEST_FOLDER ?? '.', 'lines.jsonl') }))
export default flow
if (process.env.MILLRACE_TEST_FOLDER !== undefined) {
  const state = join(process.env.MILLRACE_TEST_FOLDER, 'state')
  await flow.run({ state, commitEvery: '20ms', workers: 2 })
}
