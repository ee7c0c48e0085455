/** Where a figure comes from: processor, cores, Node, how busy the machine was, when. */
import { cpus, loadavg } from 'node:os'

export interface Environment {
  readonly cpu: string
  readonly cores: number
  readonly node: string
  /** Runnable processes over the last minute. Above the number of cores the figures are too high. */
  readonly load: number
  readonly date: string
}

export function environment(): Environment {
  const processors = cpus()
  return {
    cpu: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    node: process.version,
    load: loadavg()[0],
    date: new Date().toISOString().slice(0, 16),
  }
}

export function environmentLine({ cpu, cores, node, load, date }: Environment): string {
  return `${cpu}, ${cores} cores, Node ${node}, load average ${load.toFixed(1)}, ${date}Z`
}
