/**
 * What the flows of this folder read and where they write. Worker threads import a flow's module again, so it comes
 * through the environment, which they share; `run.ts` sets it before it imports a flow.
 */

export interface Workload {
  /** Events of all kinds. */
  readonly events: number
  /** File that the results are written to. */
  readonly output: string
}

export const workload: Workload = JSON.parse(
  process.env.MILLRACE_NEXMARK ?? '{"events":100000,"output":"nexmark.jsonl"}',
)
