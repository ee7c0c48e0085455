/** For the tests of flows: a module that runs in threads. Numbers come from a node, a function of a node doubles them, clients read them. */
import { jsonLines } from '@millrace/connectors/file'
import { remote, remoteStream, serveStream } from '@millrace/remote/flow'
import { dataflow } from 'millrace'
import type { CountingFunctions } from './counting-node.ts'

const { MILLRACE_TEST_GATEWAY: gateway = '', MILLRACE_TEST_OUT: path = '', MILLRACE_TEST_COUNT = '0' } = process.env
const nodes = remote<CountingFunctions>({ gateway })

const flow = dataflow('remote-parts')
const doubled = flow
  .source(
    'numbers',
    remoteStream(nodes, (s, position) => s.count(position, Number(MILLRACE_TEST_COUNT)), {
      replayable: true,
      bounded: true,
    }),
    { time: 'processing' },
  )
  .keyBy((row) => row.n % 7)
  .mapAsync('double', nodes.call.double, { capacity: 32, retry: { times: 20, delay: '100ms', factor: 1 } })
doubled.sink('file', jsonLines({ path, existing: 'replace' }))
doubled.sink('served', serveStream(gateway, 'doubled', { slow: 'block', last: 10_000 }))
export default flow
