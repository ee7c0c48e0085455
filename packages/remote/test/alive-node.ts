/** A node whose function blocks its only thread, as a process. Arguments: gateway, whether it proves that it lives. */
import { computeNode } from '@millrace/remote'

const [gateway = '', alive = ''] = process.argv.slice(2)
const node = computeNode({ gateway, id: 'blocked', alive: alive === 'alive' })
node.register('block', (ms: number) => {
  const end = Date.now() + ms
  while (Date.now() < end) Math.sqrt(end)
  return 'unblocked'
})
await node.start()
process.stdout.write('ready\n')
