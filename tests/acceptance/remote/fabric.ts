/**
 * Gateways, nodes and callers as processes of the command line, for the acceptance cases of remote nodes. Over NATS
 * instead of a port of the gateway when MILLRACE_ACCEPTANCE_NATS is the address of a server; then one file after another,
 * with --no-file-parallelism, because all gateways of a server are one.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type Client, connect } from '@millrace/remote'

const repository = fileURLToPath(new URL('../../../', import.meta.url))
const bin = path.join(repository, 'packages/core/bin/millrace.js')
const functions = fileURLToPath(new URL('./functions.ts', import.meta.url))

export const nats = process.env.MILLRACE_ACCEPTANCE_NATS

/** Bounds of time are for a machine of their own; these run on two shared cores. */
export const SLACK = 5

export interface Line {
  readonly text: string
  /** Wall clock, ms. */
  readonly atMs: number
}

/** A process of the command line. */
export class Command {
  readonly process: ChildProcessWithoutNullStreams
  readonly lines: Line[] = []
  stderr = ''
  endedAtMs = 0
  readonly ended: Promise<number | null>
  readonly #listeners = new Set<() => void>()

  constructor(args: readonly string[], cwd: string, env: Readonly<Record<string, string>>) {
    const own = { ...process.env, NODE_OPTIONS: '', CI: '', NO_COLOR: '1', ...env }
    this.process = spawn(process.execPath, ['--conditions=millrace-source', bin, ...args], { cwd, env: own })
    let rest = ''
    this.process.stdout.setEncoding('utf8').on('data', (text: string) => {
      const atMs = Date.now()
      const parts = (rest + text).split('\n')
      rest = parts.pop() ?? ''
      for (const part of parts) this.lines.push({ text: part, atMs })
      this.#changed()
    })
    this.process.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text
      this.#changed()
    })
    this.process.stdin.on('error', () => {})
    this.ended = new Promise((resolve) =>
      this.process.on('close', (code) => {
        this.endedAtMs = Date.now()
        resolve(code)
        this.#changed()
      }),
    )
  }

  /** Resolves once `test` holds; looked at whenever the process has said something. */
  async until(test: () => boolean, what: string, withinMs = 20_000): Promise<void> {
    const end = Date.now() + withinMs
    while (!test()) {
      if (this.endedAtMs > 0 || Date.now() > end) {
        throw new Error(
          `${what}: never came; it said\n${this.lines.slice(-5).map((line) => line.text)}\n${this.stderr}`,
        )
      }
      await new Promise<void>((resolve) => {
        const done = (): void => {
          clearTimeout(timer)
          this.#listeners.delete(done)
          resolve()
        }
        const timer = setTimeout(done, 50)
        this.#listeners.add(done)
      })
    }
  }

  json(): unknown[] {
    return this.lines.map((line) => JSON.parse(line.text) as unknown)
  }

  /** The error on stderr, of a command with `--errors json`. */
  error(): Record<string, unknown> {
    const line = this.stderr.split('\n').findLast((text) => text.startsWith('{'))
    if (line === undefined) throw new Error(`it ended without an error in JSON: ${this.stderr}`)
    return JSON.parse(line) as Record<string, unknown>
  }

  /** Resident memory, bytes. */
  get rss(): number {
    const status = readFileSync(`/proc/${this.process.pid}/status`, 'utf8')
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024
  }

  kill(signal: NodeJS.Signals): void {
    this.process.kill(signal)
  }

  #changed(): void {
    for (const listener of [...this.#listeners]) listener()
  }
}

export interface NodeFlags {
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly file?: string
}

export class Fabric {
  readonly folder = mkdtempSync(path.join(tmpdir(), 'millrace-remote-'))
  /** Where nodes and callers go. */
  address = ''
  port = 0
  readonly #commands: Command[] = []
  readonly #clients: Client[] = []

  start(args: readonly string[], env: Readonly<Record<string, string>> = {}): Command {
    const command = new Command(args, this.folder, env)
    this.#commands.push(command)
    return command
  }

  async gateway(...args: readonly string[]): Promise<Command> {
    const over = nats === undefined ? [] : ['--nats', nats]
    const gateway = this.start(['gateway', '--port', String(this.port), ...over, ...args])
    await gateway.until(() => gateway.lines.length > 0, 'the address of the gateway')
    const { gateway: url, port } = JSON.parse(gateway.lines[0].text) as { gateway: string; port: number }
    this.port = port
    this.address = nats ?? url
    return gateway
  }

  async node(id: string, { args = [], env = {}, file = functions }: NodeFlags = {}): Promise<Command> {
    const at = ['--gateway', this.address, '--id', id]
    const node = this.start(['node', file, ...at, ...args], { MILLRACE_NODE: id, MILLRACE_MARKS: this.marks, ...env })
    await node.until(() => node.lines.length > 0, `node ${id}`)
    return node
  }

  /** A command of a caller that has not ended. */
  caller(...args: readonly string[]): Command {
    return this.start([...args, '--gateway', this.address])
  }

  /** A command of a caller, at its end. */
  async run(...args: readonly string[]): Promise<Command & { readonly code: number | null }> {
    const command = this.caller(...args)
    return Object.assign(command, { code: await command.ended })
  }

  /** A client in this process, for what must be timed without the start of a process. */
  async client(token?: string): Promise<Client> {
    const client = await connect({ gateway: this.address, ...(token === undefined ? {} : { token }) })
    this.#clients.push(client)
    return client
  }

  get marks(): string {
    return path.join(this.folder, 'marks')
  }

  marked(): { readonly what: string; readonly atMs: number }[] {
    if (!existsSync(this.marks)) return []
    return readFileSync(this.marks, 'utf8')
      .trim()
      .split('\n')
      .map((line) => ({ what: line.split(' ')[0], atMs: Number(line.split(' ')[1]) }))
  }

  write(name: string, content: string | Uint8Array): string {
    const file = path.join(this.folder, name)
    writeFileSync(file, content)
    return file
  }

  async close(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()))
    for (const command of this.#commands) {
      command.kill('SIGCONT')
      command.kill('SIGKILL')
    }
    await Promise.all(this.#commands.map((command) => command.ended))
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/**
 * The invariant of every case: the gateway and the nodes that are left alone answer `echo` all the while, and after.
 * Give it those nodes; `end` gives what the calls took.
 */
export async function watch(fabric: Fabric, nodes: readonly string[]): Promise<{ end(): Promise<number[]> }> {
  const client = await fabric.client()
  const took: number[] = []
  let isOver = false
  const loops = nodes.map(async (node) => {
    const echo = client.with({ node }).call.echo
    while (!isOver) {
      const begin = performance.now()
      if ((await echo('ping')) !== 'ping') throw new Error('echo gave something else')
      took.push(performance.now() - begin)
      await sleep(25)
    }
  })
  const all = Promise.all(loops)
  all.catch(() => {})
  return {
    async end() {
      isOver = true
      await all
      return took
    },
  }
}

/** @example percentile([1, 2, 3, 4], 0.5) // => 2 */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)]
}
