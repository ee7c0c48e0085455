/** Runs the real command line in processes of its own, in a temporary project. For tests. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const repository = fileURLToPath(new URL('../../../', import.meta.url))
const bin = path.join(repository, 'packages/core/bin/millrace.js')

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Started {
  readonly process: ChildProcessWithoutNullStreams
  readonly ended: Promise<Ended>
  /** Resolves when stdout or stderr has held this text; rejects when the process ends without it. */
  saying(text: string): Promise<void>
}

export class Project {
  readonly folder = mkdtempSync(path.join(tmpdir(), 'millrace-cli-'))
  readonly #running = new Set<ChildProcessWithoutNullStreams>()

  constructor() {
    mkdirSync(path.join(this.folder, 'node_modules'))
    for (const name of ['millrace', '@millrace']) {
      symlinkSync(path.join(repository, 'node_modules', name), path.join(this.folder, 'node_modules', name), 'dir')
    }
  }

  write(name: string, text: string): void {
    writeFileSync(path.join(this.folder, name), text)
  }

  read(name: string): string {
    return readFileSync(path.join(this.folder, name), 'utf8')
  }

  start(...args: readonly string[]): Started {
    const env = { ...process.env, NODE_OPTIONS: '', CI: '', NO_COLOR: '' }
    const child = spawn(process.execPath, ['--conditions=millrace-source', bin, ...args], { cwd: this.folder, env })
    this.#running.add(child)
    let stdout = ''
    let stderr = ''
    const listeners = new Set<() => void>()
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
      for (const listener of listeners) listener()
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
      for (const listener of listeners) listener()
    })
    const ended = new Promise<Ended>((resolve) => {
      child.on('close', (code) => {
        this.#running.delete(child)
        resolve({ code, stdout, stderr })
        for (const listener of listeners) listener()
      })
    })
    const saying = (text: string): Promise<void> =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (stdout.includes(text) || stderr.includes(text)) resolve()
          else if (child.exitCode !== null)
            reject(new Error(`it ended (${child.exitCode}) without saying "${text}":\n${stdout}\n${stderr}`))
        }
        listeners.add(look)
        look()
      })
    return { process: child, ended, saying }
  }

  run(...args: readonly string[]): Promise<Ended> {
    return this.start(...args).ended
  }

  remove(): void {
    for (const child of this.#running) child.kill('SIGKILL')
    rmSync(this.folder, { recursive: true, force: true })
  }
}
