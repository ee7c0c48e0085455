/** For the tests of the live connectors: a flow from HTTP to a file, as a module of its own, so that it runs in threads. */
import { jsonLines } from '@millrace/connectors/file'
import { httpIngest } from '@millrace/connectors/http'
import { dataflow } from 'millrace'

export interface Reading {
  readonly sensor: string
  readonly value: number
}

const { MILLRACE_TEST_OUT: path = 'out.jsonl', MILLRACE_TEST_PORT: port = '0' } = process.env
const flow = dataflow('http-to-file')
flow
  .source('in', httpIngest<Reading>({ port: Number(port), rememberKeys: 1000 }), { time: 'processing' })
  .filter((r) => r.value >= 0)
  .sink('out', jsonLines({ path }))
export default flow
