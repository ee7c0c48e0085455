/**
 * Tells a reader that the log has changed: by the bell file of other processes, by the writer of this one, and by looking.
 *
 * No change is missed: a reader takes a mark, reads, and waits for what came after the mark.
 */
import { type FSWatcher, watch } from 'node:fs'
import type { LogReader } from './reader.ts'

/** Pauses between two looks: short after a change, long when nothing happens. A look costs some microseconds. */
const LOOK_MS_MIN = 1
const LOOK_MS_MAX = 25

export class Changes {
  readonly #reader: LogReader
  readonly #waiting = new Set<{ readonly mark: number; readonly wake: () => void }>()
  #watcher: FSWatcher | undefined
  #timer: NodeJS.Timeout | undefined
  #pauseMs = LOOK_MS_MIN

  constructor(reader: LogReader, bell: string) {
    this.#reader = reader
    try {
      this.#watcher = watch(bell, { persistent: false }, () => this.look())
      this.#watcher.on('error', () => this.#watcher?.close())
    } catch {
      // No watches left on this machine: looking is enough, up to 25 ms later.
    }
  }

  /** To be taken before the read that finds nothing. */
  mark(): number {
    return this.#reader.version()
  }

  /** Resolves when the log has changed since the mark, after `ms`, or when the signal aborts. */
  after(mark: number, ms: number, signal?: AbortSignal): Promise<void> {
    if (ms <= 0 || signal?.aborted === true || this.#reader.version() !== mark) return Promise.resolve()
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', wake)
        this.#waiting.delete(waiter)
        resolve()
      }
      const waiter = { mark, wake }
      const timer = setTimeout(wake, ms)
      signal?.addEventListener('abort', wake)
      this.#waiting.add(waiter)
      this.#schedule()
    })
  }

  /** Wakes those for whom something is new. */
  look(): void {
    if (this.#waiting.size === 0) return
    let version: number
    try {
      version = this.#reader.version()
    } catch {
      // Whoever waits finds out what is wrong by reading.
      this.wakeAll()
      return
    }
    for (const waiter of [...this.#waiting]) {
      if (waiter.mark === version) continue
      this.#pauseMs = LOOK_MS_MIN
      waiter.wake()
    }
  }

  /** Wakes everybody, whatever has changed. */
  wakeAll(): void {
    for (const waiter of [...this.#waiting]) waiter.wake()
  }

  close(): void {
    this.#watcher?.close()
    clearTimeout(this.#timer)
    this.wakeAll()
  }

  #schedule(): void {
    if (this.#timer !== undefined) return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#pauseMs = Math.min(LOOK_MS_MAX, this.#pauseMs * 2)
      this.look()
      if (this.#waiting.size > 0) this.#schedule()
    }, this.#pauseMs)
  }
}
