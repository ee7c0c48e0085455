/** The real nats-server for tests, where it is installed. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { createServer } from 'node:net'

export const hasNats = spawnSync('nats-server', ['--version']).status === 0
if (!hasNats) console.warn('skipped: nats-server is not installed (Debian: apt-get install nats-server)')

export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

export async function startNats(port: number): Promise<ChildProcess> {
  const server = spawn('nats-server', ['-a', '127.0.0.1', '-p', String(port)], { stdio: ['ignore', 'ignore', 'pipe'] })
  await new Promise<void>((resolve, reject) => {
    server.once('exit', () => reject(new Error('nats-server ended')))
    server.stderr?.on('data', (text) => String(text).includes('Server is ready') && resolve())
  })
  server.removeAllListeners('exit')
  return server
}
