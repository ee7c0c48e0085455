/** A gateway, a node or a client as a process of its own, told what to do over its channel: `peer.ts ROLE [URL]`. */
import { computeNode, connect, startGateway } from '../../src/index.ts'

const [role = '', gateway = ''] = process.argv.slice(2)
const say = (message: object): void => void process.send?.(message)

const produced = { n: 0, closed: 0 }
const functions = {
  echo: (value: unknown) => value,
  progress: () => produced,
  async *count(n: number, bytes: number) {
    const filler = 'x'.repeat(bytes)
    try {
      for (let i = 0; i < n; i++) {
        produced.n = i + 1
        yield { i, filler }
      }
    } finally {
      produced.closed++
    }
  },
}

if (role === 'gateway') {
  const { url } = await startGateway({ port: 0, pingMs: 500, silentMs: 2_000 })
  say({ url })
} else if (role === 'node') {
  await computeNode({ gateway, id: 'n1' }).registerAll(functions).start()
  say({ up: true })
} else {
  const client = await connect<typeof functions>({ gateway })
  const items = client.stream.count(1_000_000, 1024)
  process.on('message', async ({ take }: { take: number }) => {
    if (take < 0) await items.return?.()
    const taken: number[] = []
    while (taken.length < take) taken.push(((await items.next()).value as { i: number }).i)
    say({ taken })
  })
  say({ up: true })
}
// Resident bytes after a collection, so that what is counted is what is held.
process.on('message', (message) => {
  if (message !== 'rss') return
  globalThis.gc?.()
  say({ rss: process.memoryUsage().rss })
})
