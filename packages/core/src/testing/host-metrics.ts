/** Counters of a hosted operator, and the port that moves them. */
import type { StepMetrics } from '../graph/operator.ts'
import type { HostMetrics } from './host-types.ts'

export function hostMetrics(): { counters: HostMetrics; metrics: StepMetrics } {
  const droppedBy: Record<string, number> = {}
  const counters = {
    late: 0,
    dropped: 0,
    dead: 0,
    retried: 0,
    merged: 0,
    filtered: 0,
    deduplicated: 0,
    droppedBy,
  }
  const metrics: StepMetrics = {
    late: (n) => {
      counters.late += n
    },
    dropped: (n, reason) => {
      counters.dropped += n
      droppedBy[reason] = (droppedBy[reason] ?? 0) + n
    },
    dead: (n) => {
      counters.dead += n
    },
    retried: (n) => {
      counters.retried += n
    },
    merged: (n) => {
      counters.merged += n
    },
    filtered: (n) => {
      counters.filtered += n
    },
    deduplicated: (n) => {
      counters.deduplicated += n
    },
  }
  return { counters, metrics }
}
