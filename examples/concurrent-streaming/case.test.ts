/** The case as it is: four processes, a real gateway, kill -9. Times are bounds of behaviour, with slack. */
import { fileURLToPath } from 'node:url'
import { connect, RemoteError, startGateway } from '@millrace/remote'
import { afterEach, describe, expect, it } from 'vitest'
import { collect, Program } from './case-kit.ts'
import type { MlFunctions } from './inference/functions.ts'
import type { BatchRecord, SensorRecord } from './records.ts'
import { READINGS, ROWS, rowOf } from './sensors/case-rows.ts'
import type { DataFunctions } from './sensors/functions.ts'

const LIMIT_MS = 60_000
const OWN = fileURLToPath(new URL('./own-config.ts', import.meta.url))

const programs: Program[] = []
afterEach(async () => {
  await Promise.all(programs.splice(0).map((program) => program.stop('SIGKILL')))
})

function start(name: string, ...args: string[]): Program {
  const program = new Program(name, args)
  programs.push(program)
  return program
}

function startCase(...args: string[]): Program {
  return start('main', '--json', ...args)
}

/** Without what a clock says. */
function timeless(record: object): unknown {
  return JSON.parse(
    JSON.stringify(record, (key, value) => (key === 'timestamp' || key === 'sampled_at_ms' ? 0 : value)),
  )
}

describe('both streams at once, in four processes', () => {
  it(
    'are the same to the byte in two runs with one seed, but for the time of day',
    async () => {
      const args = ['--quick', '--seed', '42', '--simulate', '--speed', '10']
      const [first, second] = [startCase(...args), startCase(...args)]
      expect(await Promise.all([first.ended, second.ended])).toEqual([0, 0])
      for (const [stream, count] of Object.entries({ data: 40, ml: 7 })) {
        const records = first.records<object>(stream)
        expect(records).toHaveLength(count)
        expect(JSON.stringify(second.records<object>(stream).map(timeless))).toBe(JSON.stringify(records.map(timeless)))
      }
    },
    LIMIT_MS,
  )

  for (const [killed, stream, other, count] of [
    ['ml-node', 'ml', 'data', 40],
    ['data-node', 'data', 'ml', 25],
  ] as const) {
    it(
      `when ${killed} is killed, its row fails at once and the other goes on to its end`,
      async () => {
        const program = startCase(
          ...['--simulate', '--speed', '4', '--rate', '2', '--duration', '20'],
          ...['--num-images', '96', '--batch', '4', '--delay', '0.5'],
        )
        await program.until(() => program.records(stream).length >= 3 && program.records(other).length >= 1)
        const before = program.records(other).length
        expect(before).toBeLessThan(count)
        process.kill(program.pidOf(killed), 'SIGKILL')
        const killedMs = performance.now()
        await program.until(() => program.last('status', stream) !== undefined)
        expect(performance.now() - killedMs).toBeLessThan(5 * 1000)
        expect(program.last('status', stream)).toMatchObject({ status: 'failed', code: 'NODE_LOST' })
        expect(program.records(other).length).toBeLessThan(count)
        expect(await program.ended).toBe(1)
        expect(program.last('status', other)).toMatchObject({ status: 'completed' })
        expect(program.records(other)).toHaveLength(count)
        expect(program.errors).toContain(`${killed} ended with SIGKILL`)
      },
      LIMIT_MS,
    )
  }

  it(
    'a sensor that fails ends its stream with an error record; models of the package and of the user go on',
    async () => {
      const program = startCase(
        ...['--config', OWN, '--sensors', 'tank,flaky', '--rate', '20', '--duration', '2', '--seed', '1'],
        ...['--model-name', 'mobilenet_v2', '--model-name', 'brightness', '--num-images', '4', '--batch', '2'],
      )
      expect(await program.ended).toBe(1)
      const records = program.records<SensorRecord>('data')
      expect(records).toHaveLength(6)
      expect(records[4].statistics.tank).toMatchObject({ samples: 5, mean: expect.any(Number) })
      expect(records[5]).toMatchObject({ health_status: 'error', error: 'the wire is loose' })
      expect(program.last('status', 'data')).toMatchObject({ status: 'failed', code: 'USER_ERROR' })
      for (const [model, name] of Object.entries({ mobilenet_v2: 'centernet', brightness: 'brightness' })) {
        const batches = program.records<BatchRecord>(`ml:${model}`)
        expect(batches.map(({ batch_id }) => batch_id)).toEqual(['batch_001', 'batch_002', 'final'])
        expect(batches.every(({ model_info }) => model_info.name === name)).toBe(true)
        expect(batches.some((batch) => 'simulated' in batch)).toBe(false)
      }
    },
    LIMIT_MS,
  )

  it(
    'end with Ctrl-C, and when the first of them is killed',
    async () => {
      for (const signal of ['SIGINT', 'SIGKILL'] as const) {
        const program = startCase('--simulate', '--rate', '10', '--duration', '600')
        await program.until(() => program.records('data').length > 2)
        const pids = ['gateway', 'data-node', 'ml-node', 'client'].map((part) => program.pidOf(part))
        expect(pids.every((pid) => isAlive(pid))).toBe(true)
        await program.stop(signal)
        const untilMs = performance.now() + 5 * 1000
        while (pids.some(isAlive) && performance.now() < untilMs)
          await new Promise((resolve) => setTimeout(resolve, 20))
        expect(pids.filter(isAlive)).toEqual([])
      }
    },
    LIMIT_MS,
  )
})

describe('each part alone', () => {
  it('the client says that there is no gateway, where it looked, and what to check', async () => {
    const client = start('client', '--gateway', 'ws://127.0.0.1:1')
    expect(await client.ended).toBe(1)
    expect(client.errors).toMatch(/^GATEWAY_UNREACHABLE .*ws:\/\/127\.0\.0\.1:1/)
    for (const hint of ['port', 'firewall']) expect(client.errors).toContain(hint)
  })

  it(
    'a node waits for its gateway; a stream without a node names the node it needs; the rows of the case come through',
    async () => {
      const port = await freePort()
      const address = `ws://127.0.0.1:${port}`
      const node = start('data-node', '--gateway', address)
      await node.until(() => node.errors.includes('waits for a gateway'))
      const gateway = start('gateway', '--port', `${port}`)
      await gateway.until(() => gateway.errors.includes('listens on'))
      await node.until(() => node.errors.includes('connected to'))

      const alone = start('client', '--gateway', address, '--json', '--wait', '0.3', '--rate', '20', '--duration', '1')
      expect(await alone.ended).toBe(1)
      expect(alone.last('status', 'data')).toMatchObject({ status: 'completed' })
      expect(alone.records('data')).toHaveLength(20)
      const { code, message } = alone.last('status', 'ml') ?? {}
      expect(code).toBe('NOT_FOUND')
      expect(message).toContain(`ml-node.ts --gateway ${address}`)

      const client = await connect<DataFunctions & MlFunctions>({ gateway: address })
      const replay = { replay: { temperature: READINGS }, sampleRate: 1000 }
      const records = (await collect(client.stream.readings(replay))) as SensorRecord[]
      expect(records.map(rowOf)).toEqual(ROWS)
      const refused = await client.call.readings({ sampleRate: 10_001 }).catch((error: unknown) => error)
      expect(refused).toBeInstanceOf(RemoteError)
      expect(refused).toMatchObject({ code: 'INVALID_ARGUMENT', data: { path: 'sampleRate' } })
      expect((await client.call.get_sensor_status()).current_data.temperature).toBe(10)
      expect((await client.call.reset_data_buffer()).status).toBe('buffer_reset')
      expect((await client.call.get_sensor_status()).current_data.temperature).toBe(0)
      await client.close()
    },
    LIMIT_MS,
  )

  it(
    'the ML node serves its limits, and refuses a file that is not there',
    async () => {
      const gateway = await startGateway({ port: 0 })
      const wrong = start('ml-node', '--gateway', gateway.url, '--model', 'resnet50=/nowhere/resnet50.onnx')
      expect(await wrong.ended).toBe(1)
      expect(wrong.errors).toContain('/nowhere/resnet50.onnx, which is not there')

      const node = start('ml-node', '--gateway', gateway.url, '--simulate')
      await node.until(() => node.errors.includes('connected to'))
      const client = await connect<DataFunctions & MlFunctions>({ gateway: gateway.url })
      const { capabilities } = await client.call.get_model_info()
      const streams = Array.from({ length: capabilities.concurrent_streams + 1 }, () =>
        client.stream.classifications({ numImages: 1000, delay: 60 }),
      )
      const first = await Promise.allSettled(streams.map((stream) => stream.next()))
      const failures = first.flatMap((each) => (each.status === 'rejected' ? [each.reason] : []))
      expect(failures).toHaveLength(1)
      expect(failures[0]).toMatchObject({ code: 'RESOURCE_EXHAUSTED' })
      await Promise.all(streams.map((stream) => stream.cancel()))
      expect(await client.call.benchmark_model('efficientnet_b0', 3)).toMatchObject({ num_samples: 3, simulated: true })
      await client.close()
      await node.stop()
      await gateway.close()
    },
    LIMIT_MS,
  )

  it(
    'the functions are those of any node: millrace node serves them, millrace stream reads them',
    async () => {
      const gateway = await startGateway({ port: 0 })
      const functions = fileURLToPath(new URL('./sensors/functions.ts', import.meta.url))
      const node = start('millrace', 'node', functions, '--id', 'data-node', '--gateway', gateway.url)
      await node.until(() => node.out.includes('get_sensor_status'))
      const input = JSON.stringify({ replay: { temperature: READINGS }, sample_rate: 1000 })
      const stream = start('millrace', 'stream', 'readings', input, '--gateway', gateway.url)
      expect(await stream.ended).toBe(0)
      expect((stream.lines as unknown as SensorRecord[]).map(rowOf)).toEqual(ROWS)
      await node.stop()
      await gateway.close()
    },
    LIMIT_MS,
  )

  it('the gateway takes the next port when its own is taken, and says so', async () => {
    const taken = await startGateway({ port: 0 })
    const gateway = start('gateway', '--port', `${taken.port}`)
    await gateway.until(() => gateway.errors.includes('listens on'))
    expect(gateway.errors).toContain(`port ${taken.port} is taken`)
    await gateway.stop()
    await taken.close()
  })
})

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

async function freePort(): Promise<number> {
  const gateway = await startGateway({ port: 0 })
  await gateway.close()
  return gateway.port
}
