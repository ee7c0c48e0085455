/** Rows of a flow as a stream that clients read: the sink `serveStream`. */
import { type Batch, type Sink, type SinkContext, type SinkWriter, UsageError } from 'millrace/connector'
import { type GatewayAddress, openLink } from '../address.ts'
import { ComputeNode, type NodeOptions } from '../node/compute-node.ts'
import { checkName } from '../protocol/messages.ts'
import { whole } from './remote-stream.ts'
import { type SlowPolicy, Subscriber } from './subscriber.ts'

export interface ServeStreamOptions {
  /**
   * What to do when a subscriber's buffer is full. 'block': the flow waits, and with it everybody. 'drop-oldest',
   * 'drop-newest': that subscriber misses rows. 'disconnect': its stream fails with RESOURCE_EXHAUSTED. Every row missed is
   * counted. There is no default: somebody pays, and the program says who.
   */
  readonly slow: SlowPolicy
  /** Rows that wait for one subscriber. Default 1024. */
  readonly bufferRecords?: number
  /** New subscribers first get so many of the last rows. Default 0. */
  readonly last?: number
  /** One or two sentences, for lists and for language models. */
  readonly description?: string
}

/** A gateway, and the node that is made for the stream. Default id: FLOW/STEP. */
export type StreamNode = GatewayAddress & Omit<NodeOptions, 'id'> & { readonly id?: string }

/**
 * Serves rows under a name: `client.stream.averages()` gets every row that comes after it was opened, and before these the `last`
 * few; it ends when the flow stops. At-least-once for those who stay and keep up: after a crash the rows behind the last
 * commit are sent again. With `slow: 'block'` a commit waits until its rows have been taken, and a subscriber that stops
 * stops the flow. Rows without a subscriber go nowhere.
 *
 * `to` is the address of a gateway, where the sink makes a node of its own, or a node of yours, for a flow that runs in its
 * thread. One worker has it; the rows of the others come to it.
 *
 * @throws UsageError `REMOTE_STREAM`
 * @throws RemoteError while running: `GATEWAY_UNREACHABLE`, `PERMISSION_DENIED`, and the others of a node
 * @example serveStream('ws://127.0.0.1:8080', 'averages', { slow: 'drop-oldest' }).guarantee // => 'at-least-once'
 */
export function serveStream<T>(
  to: string | StreamNode | ComputeNode,
  name: string,
  options: ServeStreamOptions,
): Sink<T> {
  const { slow, description } = options
  if (!['block', 'drop-oldest', 'drop-newest', 'disconnect'].includes(slow)) {
    throw new UsageError(
      'REMOTE_STREAM',
      `slow is ${JSON.stringify(slow)}; it must be 'block', 'drop-oldest', 'drop-newest' or 'disconnect'.`,
    )
  }
  checkName('stream', name)
  const settings: Settings = {
    name,
    slow,
    description,
    bufferRecords: whole('bufferRecords', options.bufferRecords ?? 1024, 1, 1_000_000),
    last: whole('last', options.last ?? 0, 0, 1_000_000),
  }
  const target = typeof to === 'string' ? { gateway: to } : to
  return {
    kind: 'remote.serve',
    guarantee: 'at-least-once',
    isSingle: true,
    describe: () => ({ name, slow, ...('gateway' in target ? { gateway: target.gateway } : { node: target.id }) }),
    async open(ctx) {
      if (target instanceof ComputeNode) return new ServingWriter<T>(settings, ctx, target, false)
      const id = target.id ?? `${ctx.flow}/${ctx.step}`.replace(/[^A-Za-z0-9_.$/-]/g, '-')
      const node = new ComputeNode(target.gateway, () => openLink(target), {
        log: (level, message) => ctx.log(level, message),
        ...target,
        id,
      })
      const writer = new ServingWriter<T>(settings, ctx, node, true)
      try {
        await node.start()
      } catch (error) {
        await node.close()
        throw error
      }
      return writer
    },
  }
}

interface Settings {
  readonly name: string
  readonly slow: SlowPolicy
  readonly description: string | undefined
  readonly bufferRecords: number
  readonly last: number
}

/** How long the end of a flow waits for its subscribers to take what is there. */
const DRAIN_MS = 3_000

class ServingWriter<T> implements SinkWriter<T> {
  readonly #settings: Settings
  readonly #ctx: SinkContext
  readonly #node: ComputeNode
  readonly #isOwn: boolean
  readonly #subscribers = new Set<Subscriber<T>>()
  #last: T[] = []

  constructor(settings: Settings, ctx: SinkContext, node: ComputeNode, isOwn: boolean) {
    this.#settings = settings
    this.#ctx = ctx
    this.#node = node
    this.#isOwn = isOwn
    const { name, description } = settings
    node.register(name, () => this.#subscribe(), {
      kind: 'stream',
      ...(description === undefined ? {} : { description }),
    })
  }

  write(batch: Batch<T>): Promise<void> | undefined {
    const { slow, last } = this.#settings
    const full: Promise<void>[] = []
    if (this.#subscribers.size > 0 || last > 0) {
      for (let i = 0; i < batch.length; i++) {
        const row = batch.keep(i)
        for (const subscriber of this.#subscribers) subscriber.put(row)
        if (last > 0) this.#last.push(row)
      }
    }
    if (this.#last.length > last) this.#last = this.#last.slice(-last)
    let waiting = 0
    for (const subscriber of this.#subscribers) {
      waiting += subscriber.length
      const room = slow === 'block' ? subscriber.room() : undefined
      if (room !== undefined) full.push(room)
    }
    this.#ctx.gauge('subscribers', this.#subscribers.size)
    this.#ctx.gauge('waiting_rows', waiting)
    return full.length === 0 ? undefined : Promise.all(full).then(() => {})
  }

  /** Waits for subscribers only where they may hold the flow back. */
  async flush(): Promise<void> {
    if (this.#settings.slow === 'block') await Promise.all([...this.#subscribers].map((each) => each.empty()))
  }

  async close(): Promise<void> {
    this.#node.unregister(this.#settings.name)
    for (const subscriber of this.#subscribers) subscriber.end()
    if (!this.#isOwn) return
    let cancel = (): void => {}
    const late = new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, DRAIN_MS)
      cancel = () => clearTimeout(timer)
    })
    await Promise.race([this.#node.drain(), late])
    cancel()
    await this.#node.close()
  }

  #subscribe(): Subscriber<T> {
    const { slow, bufferRecords } = this.#settings
    const subscriber: Subscriber<T> = new Subscriber<T>(
      slow,
      bufferRecords,
      this.#last,
      (count) => this.#ctx.lost(count),
      () => this.#subscribers.delete(subscriber),
    )
    this.#subscribers.add(subscriber)
    return subscriber
  }
}
