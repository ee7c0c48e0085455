/**
 * The whole case with one command: a gateway, a data node, an ML node and a client, each a process of its own.
 *
 *   npm run -s concurrent-streaming -- --quick --seed 1
 *
 * Ctrl-C ends all four. They also start alone: gateway.ts, data-node.ts, ml-node.ts, client.ts.
 */
import { ChildPart } from './child-part.ts'
import {
  argumentsFor,
  clientOptions,
  dataNodeOptions,
  gatewayOptions,
  mainOptions,
  mlNodeOptions,
  readOptions,
} from './options.ts'
import { runPart, say, stopped } from './part.ts'

await runPart(async (stop) => {
  const values = readOptions(
    'npm run -s concurrent-streaming --',
    'Both streams at once, in four processes.',
    mainOptions,
  )
  const parts: ChildPart[] = []
  const start = (name: string, args: readonly string[], isClient = false): ChildPart => {
    const part = new ChildPart(name, args, isClient)
    parts.push(part)
    tell({ type: 'process', name, pid: part.pid })
    return part
  }
  // With --json the client's lines are the output, and these come before them.
  const tell = (event: { readonly type: 'process'; readonly name: string; readonly pid: number | undefined }): void => {
    if (values.json === true) process.stdout.write(`${JSON.stringify(event)}\n`)
    else process.stdout.write(`${event.name.padEnd(10)} process ${event.pid}\n`)
  }
  try {
    const gateway = start('gateway', argumentsFor(gatewayOptions, { port: '0', ...values }))
    const url = (await gateway.ready).url ?? ''
    const given = { ...values, gateway: url }
    start('data-node', argumentsFor(dataNodeOptions, { ...given, id: undefined }))
    const ml = start('ml-node', argumentsFor(mlNodeOptions, { ...given, id: undefined }))
    // Its models are loaded before anything is shown; a file that cannot be is an error of the whole.
    await Promise.race([ml.ready, stopped(stop)])
    if (stop.aborted) return 130
    const client = start('client', argumentsFor(clientOptions, given), true)
    const code = await Promise.race([client.ended, stopped(stop).then(() => 130)])
    for (const part of parts) if (part !== client && part.hasEnded) say(part.epitaph())
    return code
  } finally {
    await Promise.all(parts.map((part) => part.end()))
  }
})
