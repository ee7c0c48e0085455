/** What both nodes do: wait for the gateway, serve until they are stopped, say what happens. */
import type { ComputeNode, NodeOptions } from '@millrace/remote'
import { computeNode } from '@millrace/remote'
import { loadMeter, ready, say, stopped } from './part.ts'

export function newNode(id: string, gateway: string): ComputeNode {
  const log: NonNullable<NodeOptions['log']> = (level, message) => {
    if (level !== 'info') say(`${id}: ${message}`)
  }
  return computeNode({ gateway, id, load: loadMeter(), log })
}

export async function serve(node: ComputeNode, gateway: string, stop: AbortSignal): Promise<void> {
  const slow = setTimeout(() => say(`${node.id}: waits for a gateway at ${gateway}`), 1_000)
  await Promise.race([node.startPatiently(), stopped(stop)])
  clearTimeout(slow)
  if (!stop.aborted) {
    say(`${node.id}: connected to ${gateway}`)
    ready()
    await stopped(stop)
  }
  await node.close()
}
