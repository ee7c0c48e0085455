/** For the tests: a clock that jumps, and the case as processes. */
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Clock } from './clock.ts'

/** Nothing waits: whoever waits for a time moves it there. */
export function jumpingClock(startMs = 0): Clock {
  let nowMs = startMs
  return {
    now: () => nowMs,
    real: () => nowMs,
    epoch: () => Date.UTC(2026, 0, 1) + nowMs,
    async until(atMs, signal) {
      signal?.throwIfAborted()
      nowMs = Math.max(nowMs, atMs)
    },
  }
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

/** The items, and what ended them. */
export async function collectAll<T>(items: AsyncIterable<T>): Promise<{ items: T[]; error: unknown }> {
  const all: T[] = []
  try {
    for await (const item of items) all.push(item)
    return { items: all, error: undefined }
  } catch (error) {
    return { items: all, error }
  }
}

/** One JSON line of the case. */
export interface Said {
  readonly type: string
  readonly name?: string
  readonly pid?: number
  readonly id?: string
  readonly connected?: boolean
  readonly stream?: string
  readonly status?: string
  readonly code?: string
  readonly message?: string
  readonly [field: string]: unknown
}

const CLI = fileURLToPath(new URL('../../packages/core/bin/millrace.js', import.meta.url))

/** A program of the case as a process, or the command `millrace`. */
export class Program {
  readonly #child: ChildProcess
  readonly #waiting: { readonly fits: () => boolean; readonly resolve: () => void }[] = []
  out = ''
  errors = ''
  readonly ended: Promise<number | NodeJS.Signals>

  constructor(name: string, args: readonly string[]) {
    const file = name === 'millrace' ? CLI : fileURLToPath(new URL(`./${name}.ts`, import.meta.url))
    this.#child = spawn(process.execPath, ['--conditions=millrace-source', file, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.out += text
      this.#look()
    })
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.errors += text
      this.#look()
    })
    this.ended = new Promise((resolve) => {
      this.#child.once('close', (code, signal) => {
        resolve(signal ?? code ?? 1)
        for (const { resolve: give } of this.#waiting.splice(0)) give()
      })
    })
  }

  get lines(): Said[] {
    const whole = this.out.slice(0, this.out.lastIndexOf('\n') + 1)
    return whole
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line))
  }

  /** What a stream sent. */
  records<T>(stream: string): T[] {
    const lines = this.lines.filter((line) => line.type === 'record' && line.stream === stream)
    return lines.map(({ record }) => record as T)
  }

  /** The last line of a type, of a stream where it is of one. */
  last(type: string, stream?: string): Said | undefined {
    return this.lines.findLast((line) => line.type === type && line.stream === stream)
  }

  pidOf(part: string): number {
    return this.lines.find(({ type, name }) => type === 'process' && name === part)?.pid ?? 0
  }

  /** Resolves when it has said so, or has ended. */
  until(fits: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push({ fits, resolve })
      this.#look()
    })
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    this.#child.kill(signal)
    await this.ended
  }

  #look(): void {
    for (const each of [...this.#waiting]) {
      if (!each.fits()) continue
      this.#waiting.splice(this.#waiting.indexOf(each), 1)
      each.resolve()
    }
  }
}
