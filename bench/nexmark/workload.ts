/**
 * What the flows of this folder read and where they write. Worker threads import a flow's module again, so it comes
 * through the environment, which they share; `run.ts` sets it before it imports a flow.
 */
import type { GeneratorOptions } from './generator.ts'

export interface Workload extends GeneratorOptions {
  /** Events of all kinds. */
  readonly events: number
  /** Folder that the results are written to, a file for each query. */
  readonly folder: string
  /** 'measures': what the golden table needs of them. 'changes': every row. See `results.ts`. */
  readonly write: 'measures' | 'changes'
}

export const workload: Workload = JSON.parse(
  process.env.MILLRACE_NEXMARK ?? '{"events":100000,"folder":"nexmark","write":"changes"}',
)
