/** What video sources give, and how they tell the time. */
import type { SourceContext } from 'millrace/connector'
import type { FrameHandle } from './frame-pool.ts'

/** A frame as a record: plain and small, whatever its size. The pixels lie in the pool that `frame` names. */
export interface VideoFrame {
  /** When it was, or should have been, exposed: ms since the epoch, with fractions. */
  readonly at: number
  /** Counts the frames of the source, dropped ones included. */
  readonly number: number
  readonly frame: FrameHandle
}

export interface ClockOptions {
  /** The clock that paces the frames and stamps them, ms since the epoch. Default: the engine's, in whole ms. */
  readonly now?: () => number
}

/** A reader with nothing to give comes back after this long. */
export const patienceMs = 500

/** Waits for a moment, or for `patienceMs`. Timers fire up to a ms early when asked for fractions. */
export function waitUntil(ctx: SourceContext, ms: number, now: number): Promise<void> {
  return ctx.wait(Math.min(patienceMs, Math.max(1, Math.ceil(ms - now))))
}
