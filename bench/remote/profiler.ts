/** CPU profiles of what is measured alone: without the start of the processes, and without warming up. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { Session } from 'node:inspector/promises'
import { join } from 'node:path'

export class Profiler {
  readonly #session = new Session()
  readonly #file: string

  /** @param name of the file in `folder`, without its ending */
  constructor(folder: string, name: string) {
    mkdirSync(folder, { recursive: true })
    this.#file = join(folder, `${name}.cpuprofile`)
  }

  async start(): Promise<void> {
    this.#session.connect()
    await this.#session.post('Profiler.enable')
    await this.#session.post('Profiler.start')
  }

  async stop(): Promise<void> {
    const { profile } = await this.#session.post('Profiler.stop')
    writeFileSync(this.#file, JSON.stringify(profile))
    this.#session.disconnect()
  }
}
