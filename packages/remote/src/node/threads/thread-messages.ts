/** What passes between the thread of a node's link and a thread of its functions, besides frames, which are bytes. */
import type { OfferedFunction } from '../../protocol/messages.ts'

/** What a thread is started with. */
export interface ThreadStart {
  /** URL of the module. */
  readonly module: string
  readonly file: string
  /** Which functions of the module: those that share their variables, or those for the pool. */
  readonly pick: 'shared' | 'threaded'
  readonly id: string
  readonly stacks: boolean
  readonly holdMs: number | undefined
}

export type ToThread =
  /** The node has a session with its gateway: open a link to it. */
  | { readonly type: 'link' }
  /** The link is closed. */
  | { readonly type: 'close'; readonly code: number; readonly reason: string }
  /** Answer when nothing blocks this thread any more. */
  | { readonly type: 'sync'; readonly number: number }

export type FromThread =
  | { readonly type: 'ready'; readonly offers: readonly OfferedFunction[]; readonly threaded: readonly string[] }
  | { readonly type: 'failed'; readonly error: PlainFailure }
  | { readonly type: 'open' }
  | { readonly type: 'close'; readonly code: number; readonly reason: string }
  | { readonly type: 'synced'; readonly number: number }

/** A module that could not be loaded: classes and codes do not cross between threads. */
export interface PlainFailure {
  readonly name: string
  readonly message: string
  readonly stack: string
  readonly code: string | undefined
  readonly isUsage: boolean
}
