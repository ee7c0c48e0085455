/** The program of the design, as it stands there, and running. */
import { type CallContext, computeNode, connect, startGateway } from '@millrace/remote'
import { expect, test } from 'vitest'

interface SensorConfig {
  readonly sensors: readonly string[]
  readonly sampleRate: number
  readonly duration: number
}

const functions = {
  add: (a: number, b: number) => a + b,
  async *readings(config: SensorConfig, ctx: CallContext) {
    for (let i = 0; i < config.sampleRate && !ctx.signal.aborted; i++) {
      for (const sensor of config.sensors) yield { sensor, sample: i }
    }
  },
}

test('a function is called and a stream is read, typed by the functions of the node', async () => {
  const token = 'a token of some length'
  const tokens = [{ name: 'all', token, register: ['*'], call: ['*'] }]
  const { url: gateway, ...started } = await startGateway({ port: 0, tokens })

  const node = computeNode({ gateway, token, id: 'data-node', tags: { gpu: false } })
  node.register('add', functions.add)
  node.register('readings', async function* (config: SensorConfig, ctx) {
    yield* functions.readings(config, ctx)
  })
  await node.start()
  const client = await connect<typeof functions>({ gateway, token })
  const sum = await client.call.add(1, 2)
  const samples: number[] = []
  for await (const r of client.stream.readings({ sensors: ['temperature'], sampleRate: 10, duration: 60 })) {
    samples.push(r.sample)
  }

  expect(sum).toBe(3)
  expect(samples).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  await client.close()
  await node.close()
  await started.close()
})
