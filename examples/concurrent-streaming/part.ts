/** What each of the four programs does at its beginning and end. */
import { pathToFileURL } from 'node:url'
import type { Models } from './inference/config.ts'
import type { Sensors } from './sensors/config.ts'

export const DEFAULT_GATEWAY = 'ws://127.0.0.1:8080'

/** What `main.ts` is told by the parts it has started. */
export interface ReadyMessage {
  readonly ready: true
  /** Address of a gateway. */
  readonly url?: string
}

/**
 * Runs a program until it is done, or until Ctrl-C, SIGTERM, or the end of whoever started it. An error goes to the
 * standard error as `CODE message`; the exit code is then 1.
 */
export async function runPart(run: (stop: AbortSignal) => Promise<number> | Promise<void>): Promise<void> {
  const abort = new AbortController()
  const stop = (): void => abort.abort()
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
  process.once('disconnect', stop)
  // Whoever read the output has gone, as `head` does.
  process.stdout.on('error', stop)
  try {
    process.exitCode = (await run(abort.signal)) ?? 0
  } catch (error) {
    if (!abort.signal.aborted) {
      say(describe(error))
      process.exitCode = 1
    }
  }
  // Threads and links that were closed may take a moment; nothing is waited for.
  process.exit()
}

export function ready(message: Omit<ReadyMessage, 'ready'> = {}): void {
  process.send?.({ ready: true, ...message })
}

export function stopped(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

export function say(line: string): void {
  process.stderr.write(`${line}\n`)
}

export function describe(error: unknown): string {
  const { code, message } = error as { readonly code?: unknown; readonly message?: string }
  return `${typeof code === 'string' ? `${code} ` : ''}${message ?? String(error)}`
}

/** Sensors and models of the user's, as the default export of a module. */
export interface OwnConfig {
  readonly sensors?: Sensors
  readonly models?: Models
}

export async function loadConfig(file: string | undefined): Promise<OwnConfig> {
  if (file === undefined) return {}
  const { default: config } = (await import(pathToFileURL(file).href)) as { readonly default?: OwnConfig }
  if (config === undefined) throw new Error(`${file} has no default export; it must be { sensors, models }.`)
  return config
}

/** Share of one core since the last question, and memory, of this process. */
export function loadMeter(): () => { cpu: number; memoryBytes: number } {
  let lastUs = process.cpuUsage()
  let lastMs = performance.now()
  return () => {
    const used = process.cpuUsage(lastUs)
    const tookMs = performance.now() - lastMs
    lastUs = process.cpuUsage()
    lastMs = performance.now()
    const cpu = tookMs > 0 ? (used.user + used.system) / 1000 / tookMs : 0
    return { cpu, memoryBytes: process.memoryUsage.rss() }
  }
}
