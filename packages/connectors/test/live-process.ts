/** For the tests of the live connectors: a process that runs a flow from HTTP and WebSocket to files until it is killed. */
import { join } from 'node:path'
import { jsonLines } from '@millrace/connectors/file'
import { httpIngest } from '@millrace/connectors/http'
import { webSocketIngest } from '@millrace/connectors/websocket'
import { dataflow } from 'millrace'

interface Row {
  readonly id: number
}

const [folder, httpPort, webSocketPort] = process.argv.slice(2)
const flow = dataflow('ingest-until-killed')
flow
  .source('http', httpIngest<Row>({ port: Number(httpPort), rememberKeys: 100 }), { time: 'processing' })
  .sink('http-out', jsonLines({ path: join(folder, 'http.jsonl') }))
flow
  .source('websocket', webSocketIngest<Row>({ port: Number(webSocketPort), ackId: (r) => r.id }), {
    time: 'processing',
  })
  .sink('websocket-out', jsonLines({ path: join(folder, 'websocket.jsonl') }))
await flow.run({ state: join(folder, 'state'), commitEvery: '20ms' })
