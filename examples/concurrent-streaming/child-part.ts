/** A part of the case as a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { ReadyMessage } from './part.ts'

/** How long a part may take to end before it is killed. */
const GRACE_MS = 3_000
/** Lines of a part that are shown when it ends badly. */
const LINES_MAX = 20

export class ChildPart {
  readonly #name: string
  readonly #child: ChildProcess
  readonly #lines: string[] = []
  /** The part serves; rejects when it ends before. */
  readonly ready: Promise<ReadyMessage>
  /** Its exit code. */
  readonly ended: Promise<number>

  constructor(name: string, args: readonly string[], isClient: boolean) {
    this.#name = name
    const program = fileURLToPath(new URL(`./${name}.ts`, import.meta.url))
    // A part ends when its channel to us closes, so nothing is left behind when we are killed.
    this.#child = spawn(process.execPath, [...process.execArgv, program, ...args], {
      stdio: ['ignore', isClient ? 'inherit' : 'pipe', isClient ? 'inherit' : 'pipe', 'ipc'],
    })
    // They would tear the table; what they said is shown when a part ends badly.
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#lines.push(...text.trimEnd().split('\n'))
        this.#lines.splice(0, this.#lines.length - LINES_MAX)
      })
    }
    this.ended = new Promise((resolve) => {
      this.#child.once('error', () => resolve(127))
      this.#child.once('close', (code) => resolve(code ?? 1))
    })
    this.ready = new Promise((resolve, reject) => {
      this.#child.once('message', (message) => resolve(message as ReadyMessage))
      void this.ended.then(() => reject(new Error(this.epitaph())))
    })
    this.ready.catch(() => {})
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  epitaph(): string {
    const how = this.#child.signalCode ?? `exit code ${this.#child.exitCode}`
    return [`${this.#name} ended with ${how}`, ...this.#lines].join('\n  ')
  }

  async end(): Promise<void> {
    if (this.hasEnded) return
    this.#child.kill('SIGTERM')
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), GRACE_MS)
    await this.ended
    clearTimeout(timer)
  }
}
