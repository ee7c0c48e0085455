/** Moves the items of an iterator into an outlet, as fast as credit allows. */
import { toPlainError } from '../remote-error.ts'
import type { Time } from '../time.ts'
import type { Outlet } from './outlet.ts'

/** A synchronous producer lets the event loop go on after this long, so that links are served and pings answered. */
const SLICE_MS = 5

/**
 * Reading the clock costs more than most items: it is read after so many, fewer where items take long, so that a slice is
 * not much longer than SLICE_MS and one item.
 */
const ITEMS_PER_LOOK_MAX = 64
const LOOK_MS = 1

/** Is this argument a stream? */
export function isStream(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (typeof (value as Partial<AsyncIterable<unknown>>)[Symbol.asyncIterator] === 'function') return true
  return typeof ReadableStream !== 'undefined' && value instanceof ReadableStream
}

/** The iterator of an argument that is a stream: an async iterable, an async generator, a ReadableStream. */
export function asyncIteratorOf(value: unknown): AsyncIterator<unknown> | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const iterable = value as Partial<AsyncIterable<unknown>>
  if (typeof iterable[Symbol.asyncIterator] === 'function')
    return (iterable as AsyncIterable<unknown>)[Symbol.asyncIterator]()
  // Browsers without async iteration of streams.
  if (typeof ReadableStream !== 'undefined' && value instanceof ReadableStream) return readerOf(value)
  return undefined
}

/** Sends every item and the end, or the error it ends with. Never rejects. */
export async function pump(
  iterator: AsyncIterator<unknown> | Iterator<unknown>,
  outlet: Outlet,
  time: Time,
  onError: (thrown: unknown) => void = (thrown) => outlet.error(toPlainError(thrown)),
): Promise<void> {
  let hasFailed = false
  const fail = (thrown: unknown): void => {
    if (hasFailed || outlet.isClosed) return
    hasFailed = true
    onError(thrown)
  }
  outlet.onFailure = fail
  try {
    let lookedAtMs = time.now()
    let until = lookedAtMs + SLICE_MS
    let itemsPerLook = 1
    let items = 0
    while (!outlet.isClosed && !hasFailed) {
      if (!outlet.isReady) {
        await outlet.ready()
        lookedAtMs = time.now()
        until = lookedAtMs + SLICE_MS
        if (outlet.isClosed || hasFailed) break
      }
      const step = iterator.next()
      const result = 'then' in step ? await step : step
      if (outlet.isClosed || hasFailed) break
      if (result.done === true) {
        outlet.end()
        return
      }
      outlet.offer(result.value)
      if (++items < itemsPerLook) continue
      items = 0
      const now = time.now()
      itemsPerLook = now - lookedAtMs < LOOK_MS ? Math.min(itemsPerLook * 2, ITEMS_PER_LOOK_MAX) : 1
      lookedAtMs = now
      if (now < until) continue
      await new Promise<void>((resolve) => time.soon(resolve))
      lookedAtMs = time.now()
      until = lookedAtMs + SLICE_MS
    }
  } catch (thrown) {
    fail(thrown)
  }
  try {
    await iterator.return?.()
  } catch {
    // The call has ended; what its clean-up throws has nowhere to go.
  }
}

function readerOf(stream: ReadableStream<unknown>): AsyncIterator<unknown> {
  const reader = stream.getReader()
  return {
    next: () => reader.read() as Promise<IteratorResult<unknown>>,
    async return() {
      await reader.cancel()
      return { done: true, value: undefined }
    },
  }
}
