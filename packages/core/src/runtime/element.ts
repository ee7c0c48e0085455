/** What travels through channels, in order: records and the markers between them. */
import type { Batch } from '../batch/batch.ts'

export type Element =
  | { readonly type: 'batch'; readonly batch: Batch }
  | { readonly type: 'watermark'; readonly time: number }
  | { readonly type: 'idle'; readonly isIdle: boolean }
  | { readonly type: 'barrier'; readonly epoch: number }
