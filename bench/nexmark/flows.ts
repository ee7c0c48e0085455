/** The flow of each query. Imported when it is to run, because a flow reads its workload when it is made. */
import type { Dataflow } from 'millrace'
import type { Query } from './golden.ts'

/** 'scan' is no query: see `scan.ts`. */
export type FlowName = Query | 'scan'

export const flows: Readonly<Record<FlowName, () => Promise<Dataflow>>> = {
  scan: async () => (await import('./scan.ts')).scan,
  q0: async () => (await import('./q0.ts')).q0,
  q1: async () => (await import('./q1.ts')).q1,
  q2: async () => (await import('./q2.ts')).q2,
  q3: async () => (await import('./q3.ts')).q3,
  q4: async () => (await import('./q4.ts')).q4,
  q5: async () => (await import('./q5.ts')).q5,
  q7: async () => (await import('./q7.ts')).q7,
  q8: async () => (await import('./q8.ts')).q8,
  q9: async () => (await import('./q9.ts')).q9,
  q11: async () => (await import('./q11.ts')).q11,
  q12: async () => (await import('./q12.ts')).q12,
  q17: async () => (await import('./q17.ts')).q17,
  q18: async () => (await import('./q18.ts')).q18,
  q19: async () => (await import('./q19.ts')).q19,
  q20: async () => (await import('./q20.ts')).q20,
}
