/**
 * The gateway alone:
 *
 *   node --conditions=millrace-source examples/concurrent-streaming/gateway.ts --port 8080
 */
import { type Gateway, startGateway } from '@millrace/remote'
import { gatewayOptions, numberOf, readOptions } from './options.ts'
import { ready, runPart, say, stopped } from './part.ts'

const PORTS_MAX = 20

await runPart(async (stop) => {
  const { host = '127.0.0.1', port } = readOptions(
    'gateway.ts',
    'The gateway of both nodes and the client.',
    gatewayOptions,
  )
  const gateway = await listen(host, numberOf('port', port) ?? 8080)
  say(`gateway: listens on ${gateway.url}`)
  ready({ url: gateway.url })
  await stopped(stop)
  await gateway.close()
})

/** On the port, or the next one that is free. */
async function listen(host: string, first: number): Promise<Gateway> {
  for (let port = first; ; port++) {
    try {
      return await startGateway({ host, port })
    } catch (error) {
      const { code, data } = error as { readonly code?: string; readonly data?: { readonly reason?: string } }
      const isTaken = code === 'GATEWAY_PORT' && data?.reason === 'EADDRINUSE'
      if (!isTaken || port >= first + PORTS_MAX) throw error
      say(`gateway: port ${port} is taken, so ${port + 1} is tried`)
    }
  }
}
