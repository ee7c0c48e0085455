/**
 * Hosts a sink's writer at the end of a stage. Staged bytes go into the epoch's log; a write that returns a promise
 * holds the stage's input back until it is done.
 */
import type { Batch } from '../batch/batch.ts'
import type { SinkWriter } from '../connector.ts'
import type { MillraceError } from '../errors.ts'
import { refuseChanges } from '../graph/changes.ts'
import type { GraphNode } from '../graph/node.ts'
import { connectorError } from './failures.ts'
import type { Receiver } from './receiver.ts'
import { StepCounter, type StepHost } from './step-host.ts'

export interface SinkPorts {
  /** Adds staged bytes to the log of the epoch that is being written. A promise means: wait before more. */
  stage(sink: string, bytes: Uint8Array): Promise<void> | undefined
  fail(error: unknown): void
}

export class SinkNode implements Receiver {
  readonly node: GraphNode
  readonly counter: StepCounter
  readonly #host: StepHost
  readonly #writer: SinkWriter<unknown>
  readonly #ports: SinkPorts
  readonly #isStaged: boolean
  /** Batches that came in one call of the stage while a write was under way. */
  readonly #waiting: Batch[] = []
  #isWriting = false
  #hasEnded = false
  #since = 0

  constructor(node: GraphNode, host: StepHost, writer: SinkWriter<unknown>, isStaged: boolean, ports: SinkPorts) {
    this.node = node
    this.#host = host
    this.#writer = writer
    this.#isStaged = isStaged
    this.#ports = ports
    this.counter = new StepCounter(host.counters, node.id)
  }

  batch(batch: Batch): void {
    this.counter.add('recordsIn', batch.length)
    refuseChanges(this.node, batch)
    if (this.#isWriting) this.#waiting.push(batch)
    else this.#write(batch)
  }

  watermark(time: number): void {
    this.counter.put('watermark', time)
    if (time === Number.POSITIVE_INFINITY) this.#hasEnded = true
  }

  idle(): void {}

  isReady(): boolean {
    return !this.#isWriting
  }

  /** Every input has come to its end and is written. */
  get isDone(): boolean {
    return this.#hasEnded && !this.#isWriting
  }

  /** At a barrier: resolves when everything before it is with the target, or in the epoch's log. */
  async flush(): Promise<void> {
    if (this.#isStaged) return
    try {
      await this.#writer.flush?.()
    } catch (error) {
      throw this.#failed(error)
    }
  }

  async close(): Promise<void> {
    await this.#writer.close()
  }

  #write(batch: Batch): void {
    const clock = this.#host.ports.clock
    const start = clock.monotonic()
    let result: ReturnType<SinkWriter<unknown>['write']>
    try {
      result = this.#writer.write(batch)
    } catch (error) {
      throw this.#failed(error)
    }
    this.counter.add('busyMs', clock.monotonic() - start)
    if (result instanceof Promise) {
      this.#wait(
        result.then(
          (bytes) => {
            this.counter.add('recordsOut', batch.length)
            return bytes === undefined ? undefined : this.#stage(bytes as Uint8Array)
          },
          (error: unknown) => {
            throw this.#failed(error)
          },
        ),
      )
      return
    }
    this.counter.add('recordsOut', batch.length)
    if (result === undefined) return
    const staged = this.#stage(result as Uint8Array)
    if (staged !== undefined) this.#wait(staged)
  }

  #stage(bytes: Uint8Array): Promise<void> | undefined {
    this.counter.add('bytesOut', bytes.length)
    return this.#ports.stage(this.node.name, bytes)
  }

  #failed(error: unknown): MillraceError {
    return connectorError(error, 'SINK_FAILED', this.node.name)
  }

  #wait(done: Promise<unknown>): void {
    this.#isWriting = true
    this.#since = this.#host.ports.clock.monotonic()
    done
      .then(() => {
        this.counter.add('awaitMs', this.#host.ports.clock.monotonic() - this.#since)
        this.#isWriting = false
        const next = this.#waiting.shift()
        if (next !== undefined) this.#write(next)
        if (!this.#isWriting) this.#host.wake()
      })
      .catch((error: unknown) => this.#ports.fail(error))
  }
}
