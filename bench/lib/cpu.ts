/** CPU time of a piece of work: user and system, over all threads of the process. */

export interface Cost {
  readonly wallMs: number
  readonly cpuMs: number
}

export async function measureCpu(work: () => Promise<unknown>): Promise<Cost> {
  const cpu = process.cpuUsage()
  const started = performance.now()
  await work()
  const wallMs = performance.now() - started
  const { user, system } = process.cpuUsage(cpu)
  return { wallMs, cpuMs: (user + system) / 1000 }
}
