/**
 * Workers without threads: every worker of a run lives in this thread, joined by queues. The loop is the same as in a
 * thread; tests, simulations and flows that no module exports run this way.
 */
import type { OnWrite } from '../checkpoint/write-sites.ts'
import type { Channel } from '../graph/plan.ts'
import { alignmentOver } from './alignment.ts'
import type { ElementSource, Sender } from './channel.ts'
import type { Spawn, SpawnRequest, WorkerSet } from './job-contract.ts'
import type { Ports } from './ports.ts'
import { BoundedQueue } from './queue.ts'
import { StepCounter } from './step-host.ts'
import { type Transport, WorkerRuntime } from './worker.ts'

export interface InlineOptions {
  readonly ports: Ports
  readonly folder: string
  readonly onWrite?: OnWrite
}

export function inlineWorkers(options: InlineOptions): Spawn {
  return async (request): Promise<WorkerSet> => {
    const abort = new AbortController()
    const workers: WorkerRuntime[] = []
    const transport = queueTransport(request, (index) => workers[index]?.wake())
    for (let index = 0; index < request.plan.workers; index++) {
      workers.push(
        new WorkerRuntime({
          ...request,
          ports: options.ports,
          folder: options.folder,
          ...(options.onWrite === undefined ? {} : { onWrite: options.onWrite }),
          index,
          count: request.plan.workers,
          transport,
          counters: request.counters[index],
          alignment: alignmentOver(request.alignment, request.plan, index),
          assignment: request.assignments[index],
          signal: abort.signal,
          send: (message) => options.ports.scheduler.soon(() => request.onMessage(index, message)),
        }),
      )
    }
    const loops: Promise<void>[] = []
    const terminate = async (): Promise<void> => {
      for (const worker of workers) worker.receive({ type: 'stop' })
      abort.abort()
      await Promise.all(loops)
    }
    try {
      for (const worker of workers) await worker.open()
    } catch (error) {
      for (const worker of workers) await worker.close()
      throw error
    }
    for (const worker of workers) loops.push(worker.run())
    return { send: (index, message) => workers[index].receive(message), terminate }
  }
}

/** A queue per channel and pair of workers. */
function queueTransport(request: SpawnRequest, wake: (worker: number) => void): Transport {
  const queues = new Map<string, BoundedQueue>()
  const queue = (channel: Channel, from: number, to: number): BoundedQueue => {
    const id = `${channel.id}/${from}/${to}`
    let found = queues.get(id)
    if (found === undefined) {
      found = boundedQueue(channel, request.counters[to])
      queues.set(id, found)
    }
    return found
  }
  return {
    sender: (channel, from, to): Sender =>
      from === to ? queue(channel, from, to) : waking(queue(channel, from, to), () => wake(to)),
    lane: (channel, from, to): ElementSource => {
      const own = queue(channel, from, to)
      if (from === to) return own
      return {
        take: () => {
          const element = own.take()
          if (element !== undefined) wake(from)
          return element
        },
        queued: () => own.queued(),
      }
    },
  }
}

function waking(queue: BoundedQueue, wake: () => void): Sender {
  return {
    send: (element) => {
      queue.send(element)
      wake()
    },
    hasRoom: () => queue.hasRoom(),
    pump: () => false,
    queued: () => queue.queued(),
  }
}

/** The queue of a channel towards one worker; what it drops is counted at the receiving step. */
export function boundedQueue(channel: Channel, counters: Float64Array, elsewhere?: () => number): BoundedQueue {
  const counter = new StepCounter(counters, channel.to.id)
  return new BoundedQueue({
    capacity: channel.capacity,
    whenFull: channel.whenFull,
    step: channel.to.name,
    onDrop: (records) => {
      counter.add('recordsIn', records)
      counter.dropped(records, 'buffer-full')
    },
    ...(elsewhere === undefined ? {} : { elsewhere }),
  })
}
