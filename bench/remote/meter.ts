/** What the processes of a stack take for each call or item, and, where it is asked for, what they do in that time. */
import { Profiler } from './profiler.ts'
import type { Cpu, Stack } from './stack.ts'

/** CPU time of each call or item, over all threads of a process. */
export interface CpuEach {
  readonly clientUs: number
  readonly gatewayUs: number
  readonly nodeUs: number
}

export class Meter {
  readonly #stack: Stack
  readonly #profiler: Profiler | undefined
  #before: Cpu

  constructor(stack: Stack, profiles: string | undefined) {
    this.#stack = stack
    this.#profiler = profiles === undefined ? undefined : new Profiler(profiles, 'client')
    this.#before = stack.cpuMs()
  }

  /** Everything is warm. */
  start(): void {
    this.#before = this.#stack.cpuMs()
    this.#stack.profile()
    void this.#profiler?.start()
  }

  async stop(count: number): Promise<CpuEach> {
    const now = this.#stack.cpuMs()
    await this.#profiler?.stop()
    const us = (process: keyof Cpu): number => ((now[process] - this.#before[process]) * 1000) / count
    return { clientUs: us('client'), gatewayUs: us('gateway'), nodeUs: us('node') }
  }
}
