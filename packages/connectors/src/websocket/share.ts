/**
 * One server for all workers: worker 0 has it, the others pass their messages on to it within the process.
 *
 * A pass is answered when the server has taken the messages, so a worker has one batch under way and subscribers hold back
 * every worker. Worker 0 may open later than the others: they ask, and it says when it is there.
 */
import { BroadcastChannel } from 'node:worker_threads'
import type { Batch, SinkContext, SinkWriter } from 'millrace/connector'
import { type BroadcastSettings, BroadcastWriter, encodeRows } from './broadcast-writer.ts'

type Said =
  | { readonly is: 'hello' }
  | { readonly is: 'ready' }
  | { readonly is: 'pass'; readonly from: number; readonly id: number; readonly messages: readonly Uint8Array[] }
  | { readonly is: 'flush'; readonly from: number; readonly id: number }
  | { readonly is: 'done'; readonly to: number; readonly id: number }

function channelOf(settings: BroadcastSettings<never>, ctx: SinkContext): BroadcastChannel {
  const { host = '127.0.0.1', port } = settings.peers.listen
  const channel = new BroadcastChannel(`millrace ${ctx.flow}/${ctx.step} ${host}:${port}`)
  channel.unref()
  return channel
}

/** The server, which also takes what other workers pass on. */
export class SharedWriter<T> extends BroadcastWriter<T> {
  readonly #channel: BroadcastChannel

  constructor(settings: BroadcastSettings<T>, ctx: SinkContext) {
    super(settings, ctx)
    this.#channel = channelOf(settings, ctx)
    this.#channel.onmessage = (event) => void this.#hear((event as { data: Said }).data)
  }

  override async open(): Promise<void> {
    await super.open()
    this.#channel.postMessage({ is: 'ready' } satisfies Said)
  }

  override close(): Promise<void> {
    this.#channel.close()
    return super.close()
  }

  async #hear(said: Said): Promise<void> {
    if (said.is === 'hello') this.#channel.postMessage({ is: 'ready' } satisfies Said)
    if (said.is === 'pass') await this.send(said.messages.map((bytes) => Buffer.from(bytes.buffer)))
    if (said.is === 'flush') await this.flush()
    if (said.is === 'pass' || said.is === 'flush')
      this.#channel.postMessage({ is: 'done', to: said.from, id: said.id } satisfies Said)
  }
}

/** A worker without the server. */
export class PassingWriter<T> implements SinkWriter<T> {
  readonly #settings: BroadcastSettings<T>
  readonly #ctx: SinkContext
  readonly #channel: BroadcastChannel
  readonly #waiting = new Map<number, () => void>()
  #ids = 0
  #ready: (() => void) | undefined

  constructor(settings: BroadcastSettings<T>, ctx: SinkContext) {
    this.#settings = settings
    this.#ctx = ctx
    this.#channel = channelOf(settings, ctx)
    this.#channel.onmessage = (event) => this.#hear((event as { data: Said }).data)
  }

  /** Resolves when the server is there. */
  open(): Promise<void> {
    return new Promise((resolve) => {
      this.#ready = resolve
      this.#channel.postMessage({ is: 'hello' } satisfies Said)
    })
  }

  write(batch: Batch<T>): Promise<void> {
    const messages = encodeRows(batch, this.#settings.format, this.#ctx.step).map((message) => new Uint8Array(message))
    return this.#ask((id) => ({ is: 'pass', from: this.#ctx.instance.index, id, messages }))
  }

  flush(): Promise<void> {
    return this.#ask((id) => ({ is: 'flush', from: this.#ctx.instance.index, id }))
  }

  close(): void {
    this.#channel.close()
  }

  #ask(say: (id: number) => Said): Promise<void> {
    const id = this.#ids++
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve)
      this.#channel.postMessage(say(id))
    })
  }

  #hear(said: Said): void {
    if (said.is === 'ready') this.#ready?.()
    if (said.is !== 'done' || said.to !== this.#ctx.instance.index) return
    this.#waiting.get(said.id)?.()
    this.#waiting.delete(said.id)
  }
}
