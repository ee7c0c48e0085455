/** Functions of a node that run elsewhere than in the thread of its link: what `ComputeNode` asks of whoever runs them. */
import type { Frame } from '../protocol/frame.ts'
import type { OfferedFunction, OpenHeader } from '../protocol/messages.ts'
import type { Session } from '../session/session.ts'

export interface FunctionHost {
  readonly offers: readonly OfferedFunction[]
  /** Streams that may wait for their consumers to come back, by name. */
  readonly held: readonly string[]
  /** Calls under way, and those that wait. */
  readonly inFlight: number
  /** Called when the last call has ended. */
  onIdle: () => void
  /** A session with the gateway has begun, or (undefined) ended. */
  link(session: Session | undefined, payloadBytesMax: number): void
  open(frame: Frame, header: OpenHeader): void
  /** A frame of one of its calls, or of the link. False when the call is none of its own. */
  onFrame(frame: Frame): boolean
  close(): Promise<void>
}
