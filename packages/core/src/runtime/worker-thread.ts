/** Entry of a worker thread: imports the user's module, finds the flow, runs this worker's share. */
import { parentPort, workerData } from 'node:worker_threads'
import { UsageError } from '../errors.ts'
import type { Plan } from '../graph/plan.ts'
import { alignmentOver } from './alignment.ts'
import { type FromWorker, type ToWorker, toPlain } from './messages.ts'
import { nodePorts } from './node-ports.ts'
import { enterWorker } from './park.ts'
import { RingTransport } from './ring-transport.ts'
import type { ThreadStart } from './threads.ts'
import { WorkerRuntime } from './worker.ts'

interface Flow {
  readonly name: string
  plan(workers: number): Plan
}

const start = workerData as ThreadStart
const send = (message: FromWorker): void => parentPort?.postMessage(message)

try {
  await main()
} catch (error) {
  send({ type: 'failed', error: toPlain(error) })
}

async function main(): Promise<void> {
  const flow = await loadFlow()
  const plan = flow.plan(start.count)
  if (plan.hash !== start.planHash) {
    throw new UsageError(
      'PLAN_DIFFERS',
      `module ${start.module} built flow "${start.flow}" differently in a worker (plan ${plan.hash}) than in the main thread (plan ${start.planHash}). What a flow looks like must not depend on the thread, the clock or chance.`,
    )
  }
  const ports = nodePorts()
  const abort = new AbortController()
  const worker = new WorkerRuntime({
    ...start,
    plan,
    ports,
    transport: new RingTransport(start.shared, start.index, start.count, start.counters, ports.scheduler),
    alignment: alignmentOver(start.alignment, plan, start.index),
    signal: abort.signal,
    send,
  })
  parentPort?.on('message', (message: ToWorker) => {
    worker.receive(message)
    if (message.type === 'stop') abort.abort()
  })
  await worker.open()
  await worker.run()
}

/** The flow, from the module's exports or from the moment the module runs it. */
async function loadFlow(): Promise<Flow> {
  const offered = new Promise<Flow>((resolve, reject) => {
    let made: Flow | undefined
    enterWorker({
      made: (flow) => {
        if (flow.name === start.flow) made = flow as Flow
      },
      run: (flow) => {
        if (made !== undefined) resolve(made)
        else reject(runsAnother(flow.name))
      },
    })
  })
  const exported = import(start.module).then((module: Record<string, unknown>) => {
    const found = Object.values(module).find((value) => isFlow(value) && value.name === start.flow)
    if (found !== undefined) return found as Flow
    throw new UsageError(
      'FLOW_NOT_EXPORTED',
      `module ${start.module} does not export flow "${start.flow}", so a worker thread cannot find it. Export it: export default flow.`,
      { data: { exports: Object.keys(module) } },
    )
  })
  return Promise.race([offered, exported])
}

function runsAnother(other: string): UsageError {
  return new UsageError(
    'FLOW_NOT_EXPORTED',
    `module ${start.module} waits for the run of flow "${other}" before it makes flow "${start.flow}", so a worker of the second never finds it. Make both flows first and run them together, or put each into a module of its own.`,
  )
}

function isFlow(value: unknown): value is Flow {
  return typeof value === 'object' && value !== null && 'plan' in value && 'graph' in value && 'name' in value
}
