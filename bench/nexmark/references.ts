/**
 * What the figures of the benchmark stand beside.
 *
 * Flink 2.2.0 (heap state) and Kafka Streams 4.3.1 were measured in November 2026 on two cores by another harness: JSON in a
 * topic of a Kafka broker, results into another, exactly once. They pay for what our generator in the process does not.
 */
import type { FlowName } from './flows.ts'

export interface Reference {
  /** M events per CPU second that we reach for. */
  readonly perCore?: number
  /** CPU of a bare loop over typed arrays of decoded columns, ns per event: the larger of two sizes. */
  readonly floorNs?: number
  /** CPU us per event, the least of the right runs with exactly-once. */
  readonly flinkUs?: number
  readonly kafkaStreamsUs?: number
}

export const references: Readonly<Record<FlowName, Reference>> = {
  scan: {},
  q0: { perCore: 2.5, floorNs: 4, flinkUs: 16.4, kafkaStreamsUs: 9.7 },
  q1: { perCore: 2.5, floorNs: 5, flinkUs: 16.6, kafkaStreamsUs: 10 },
  q2: { perCore: 3, floorNs: 3, flinkUs: 12, kafkaStreamsUs: 5.7 },
  q3: { perCore: 2.5, floorNs: 5, flinkUs: 12.6, kafkaStreamsUs: 7.1 },
  q4: { perCore: 1.5, floorNs: 31, flinkUs: 20.7 },
  q5: { perCore: 2, floorNs: 44, flinkUs: 14.9, kafkaStreamsUs: 22.5 },
  q7: { perCore: 2.5, floorNs: 6, flinkUs: 16.1, kafkaStreamsUs: 13.6 },
  q8: { perCore: 2.5, floorNs: 5, flinkUs: 13.1, kafkaStreamsUs: 7.2 },
  q9: { perCore: 1.2, floorNs: 48 },
  q11: { perCore: 2, floorNs: 10, flinkUs: 14.8, kafkaStreamsUs: 24.7 },
  q12: { perCore: 2.2, floorNs: 11 },
  q17: { perCore: 2, floorNs: 25 },
  q18: { perCore: 1.2, floorNs: 152, flinkUs: 22.2, kafkaStreamsUs: 20.3 },
  q19: { perCore: 1.5, floorNs: 41, flinkUs: 34.9 },
  q20: { perCore: 1, floorNs: 22 },
}
