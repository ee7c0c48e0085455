/** Options that every step with state of its own takes. */
import type { Buffer, NodeOptions, OnError } from '../graph/node.ts'

export interface StepOptions {
  /** What happens to a record for which a function of the step throws; default: the flow fails. */
  readonly onError?: OnError
  /** Names the step had in earlier versions of the flow: its state is found under them. */
  readonly renamedFrom?: string | readonly string[]
  /** The queue in front of the step. */
  readonly buffer?: Buffer
}

/** The options that go to the node as they are. */
export function nodeOptions(options: StepOptions): Pick<NodeOptions, 'onError' | 'renamedFrom' | 'buffer'> {
  const { onError, renamedFrom, buffer } = options
  return {
    ...(onError === undefined ? {} : { onError }),
    ...(renamedFrom === undefined ? {} : { renamedFrom }),
    ...(buffer === undefined ? {} : { buffer }),
  }
}
