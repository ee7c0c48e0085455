/** For the tests of flows: a node as a process of its own. Its functions are what `CountingFunctions` says. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type CallContext, computeNode } from '@millrace/remote'

const ran: string[] = []
const aborted: string[] = []

const functions = {
  /** Numbers from `from` on; the node is asked for no more than the flow takes. */
  async *count(from: number, to: number, everyMs = 0) {
    for (let n = from; n < to; n++) {
      if (everyMs > 0) await sleep(everyMs)
      yield { n }
    }
  },
  async double(row: { readonly n: number }, ctx: CallContext) {
    ran.push(ctx.id)
    await sleep(1)
    return { n: row.n, doubled: row.n * 2, id: ctx.id, pid: process.pid }
  },
  /** Fails the first time it hears of a call, hangs the second. */
  async troubled(row: { readonly n: number }, ctx: CallContext) {
    const times = ran.filter((id) => id === ctx.id).length
    ran.push(ctx.id)
    if (times === 0) throw new Error('the first time')
    if (times === 1) {
      await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve))
      aborted.push(ctx.id)
    }
    return { n: row.n, times: times + 1 }
  },
  seen: () => ({ ran, aborted }),
}

export type CountingFunctions = typeof functions

const [gateway, id] = process.argv.slice(2)
if (gateway !== undefined && id !== undefined) {
  await computeNode({ gateway, id }).registerAll(functions).start()
  process.stdout.write('ready\n')
}
