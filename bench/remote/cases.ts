/** One measurement each, of a gateway and nodes that are started for it, made by the client in this process. */
import { Latencies, type Percentiles } from '../lib/histogram.ts'
import { KIB_TEXT, machineMs } from './functions.ts'
import { type Calls, type Items, measureCalls, measureItems } from './load.ts'
import { type CpuEach, Meter } from './meter.ts'
import { residentMib } from './processes.ts'
import { type BenchClient, type Stack, type StackOptions, startStack } from './stack.ts'

export interface CaseOptions extends StackOptions {
  /** How long what is measured by the clock goes on. */
  readonly ms: number
  readonly items: number
  readonly callers: number
  /** Samples per second. */
  readonly rate: number
  readonly fn: 'gen' | 'agen' | 'texts'
}

type Case = (options: CaseOptions) => Promise<unknown>

const WARM_MS = 500
const MIB = 1024 * 1024

export const cases = { calls, items, first, large, loss, stopped, sensor, arrival, beside } satisfies Record<
  string,
  Case
>

/** Echo, `callers` at once. */
function calls(options: CaseOptions): Promise<Calls & CpuEach> {
  const { callers, ms } = options
  return withStack(['n1'], options, async (stack, client) => {
    const meter = new Meter(stack, options.profiles)
    const measured = await measureCalls(client.call.echo, callers, ms, () => meter.start())
    return { ...measured, ...(await meter.stop(measured.count)) }
  })
}

/** One stream, read as fast as it comes. */
function items(options: CaseOptions): Promise<Items & CpuEach> {
  const { items: count, fn } = options
  return withStack(['n1'], options, async (stack, client) => {
    const meter = new Meter(stack, options.profiles)
    const expected = fn === 'texts' ? () => KIB_TEXT : (i: number) => i
    const measured = await measureItems(client.stream[fn], count, expected, () => meter.start())
    return { ...measured, ...(await meter.stop(count)) }
  })
}

/** From the moment the generator yields its first item to the consumer. */
function first(options: CaseOptions): Promise<Percentiles> {
  return withStack(['n1'], options, async (_, client) => {
    const latencies = new Latencies()
    for (let i = 0; i < 120; i++) {
      for await (const yieldedMs of client.stream.stamps(1, 0)) {
        if (i >= 20) latencies.record(machineMs() - yieldedMs)
      }
    }
    return latencies.percentiles()
  })
}

/** 64 MiB as an argument and as a result. */
function large(options: CaseOptions): Promise<{ readonly argumentMs: number; readonly resultMs: number }> {
  return withStack(['n1'], options, async (_, client) => {
    const bytes = 64 * MIB
    await client.call.size(new Uint8Array(MIB))
    const startMs = machineMs()
    if ((await client.call.size(new Uint8Array(bytes))) !== bytes) throw new Error('the argument came damaged')
    const thenMs = machineMs()
    if ((await client.call.blob(bytes)).length !== bytes) throw new Error('the result came damaged')
    return { argumentMs: thenMs - startMs, resultMs: machineMs() - thenMs }
  })
}

/** From kill -9 of the node to the error at the caller. */
function loss(options: CaseOptions): Promise<{ readonly callMs: number; readonly streamMs: number }> {
  return withStack(['n1'], options, async ({ nodes }, client) => {
    const until = async (work: Promise<unknown>): Promise<number> => {
      const outcome = await work.catch((error: { code?: string }) => error.code)
      if (outcome !== 'NODE_LOST') throw new Error(`not NODE_LOST but ${outcome}`)
      return machineMs()
    }
    const hanging = until(client.call.hang())
    const stream = client.stream.stamps(1000, 50)
    await stream.next()
    const reading = until(
      (async () => {
        for await (const _ of stream) void _
      })(),
    )
    await sleep(500)
    const killedMs = machineMs()
    nodes[0].kill()
    const [callMs, streamMs] = await Promise.all([hanging, reading])
    return { callMs: callMs - killedMs, streamMs: streamMs - killedMs }
  })
}

export interface Growth {
  readonly gatewayMib: number
  readonly nodeMib: number
  readonly clientMib: number
  /** Items produced while nobody read, beyond those that were read. */
  readonly ahead: number
  /** Echo of another client meanwhile. */
  readonly echoP99Ms: number
}

/** A client that takes ten items of 1 KiB and stops reading for `ms`. */
function stopped(options: CaseOptions): Promise<Growth> {
  const { ms } = options
  return withStack(['n1'], options, async ({ gateway, nodes, connect }, client) => {
    const other = await connect()
    // What a process takes once it has run at all is no growth.
    await measureCalls(other.call.echo, 16, WARM_MS)
    await measureItems(client.stream.texts, 5_000, () => KIB_TEXT)
    const pids = [gateway.pid, nodes[0].pid, process.pid]
    const stream = client.stream.counted(1_000_000)
    for (let i = 0; i < 10; i++) await stream.next()
    const before = pids.map(residentMib)
    const latencies = new Latencies()
    const most = [...before]
    for (const endMs = machineMs() + ms; machineMs() < endMs; ) {
      const startMs = machineMs()
      await other.call.echo(1)
      latencies.record(machineMs() - startMs)
      pids.forEach((pid, i) => {
        most[i] = Math.max(most[i], residentMib(pid))
      })
      await sleep(50)
    }
    const ahead = (await other.call.produced()) - 10
    await stream.cancel()
    await other.close()
    const [gatewayMib, nodeMib, clientMib] = most.map((mib, i) => mib - before[i])
    return { gatewayMib, nodeMib, clientMib, ahead, echoP99Ms: latencies.percentiles().p99Ms }
  })
}

/** From the moment a sample is due to the consumer, beside a stream that takes a core: of another node, or of a thread. */
function sensor(options: CaseOptions): Promise<Percentiles> {
  const { rate, ms } = options
  const [dataNode, mlNode] = options.threads ? ['n1', 'n1'] : ['data-node', 'ml-node']
  return withStack([...new Set([dataNode, mlNode])], options, async (_, client) => {
    const inference = client.with({ node: mlNode }).stream.inference(50)
    const batches = (async () => {
      for await (const _ of inference) void _
    })()
    await sleep(WARM_MS)
    const latencies = new Latencies()
    const seconds = ms / 1000
    const samples = client.with({ node: dataNode }).stream.sensor(rate, seconds + 1)
    let expected = 1
    for await (const { sample_id, timestamp } of samples) {
      if (sample_id !== expected++) throw new Error(`sample ${sample_id} instead of ${expected - 1}`)
      // The first second warms up.
      if (sample_id > rate) latencies.record(machineMs() - timestamp)
    }
    await inference.cancel()
    await batches
    return latencies.percentiles()
  })
}

/** An item each half second: is it here when it was yielded? */
function arrival(options: CaseOptions): Promise<Percentiles> {
  const { ms } = options
  return withStack(['n1'], options, async (_, client) => {
    const latencies = new Latencies()
    for await (const yieldedMs of client.stream.stamps(Math.max(4, ms / 500), 500)) {
      latencies.record(machineMs() - yieldedMs)
    }
    return latencies.percentiles()
  })
}

/** Echo on a node beside a generator that never waits and takes 2 ms for each item. */
function beside(options: CaseOptions): Promise<Percentiles> {
  const { ms } = options
  return withStack(['n1'], options, async (_, client) => {
    const busy = client.stream.inference(2)
    const reading = (async () => {
      for await (const _ of busy) void _
    })()
    await sleep(WARM_MS)
    const percentiles = await measureCalls(client.call.echo, 1, ms)
    await busy.cancel()
    await reading
    return percentiles
  })
}

async function withStack<R>(
  nodes: readonly string[],
  options: StackOptions,
  work: (stack: Stack, client: BenchClient) => Promise<R>,
): Promise<R> {
  const stack = await startStack(nodes, options)
  try {
    const client = await stack.connect()
    const result = await work(stack, client)
    await client.close()
    return result
  } finally {
    await stack.stop()
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
