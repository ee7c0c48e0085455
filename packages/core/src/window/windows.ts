/**
 * The windows a user writes: plain frozen descriptions, checked when they are made.
 */
import { UsageError } from '../errors.ts'
import { type Duration, durationMs } from '../time/duration.ts'
import type { CountWindow, GlobalWindow, RowOrder, SessionWindow, SlidingWindow, TimeWindow, Trigger } from './types.ts'

/**
 * Windows of one length, one after the other: `[k * size, (k + 1) * size)`.
 * @throws UsageError `WINDOW_SIZE` below 1 ms, `DURATION`
 * @example tumbling('10s') // => { type: 'time', sizeMs: 10000, slideMs: 10000 }
 */
export function tumbling(size: Duration): TimeWindow {
  const sizeMs = windowSizeMs(size)
  return Object.freeze({ type: 'time', sizeMs, slideMs: sizeMs })
}

/**
 * Windows of length `size`, one starting every `slide`; a record belongs to each that contains its time.
 * @throws UsageError `WINDOW_SIZE`; `WINDOW_SLIDE` when the slide is 0 or longer than the size; `DURATION`
 * @example hopping('10s', '2s') // => { type: 'time', sizeMs: 10000, slideMs: 2000 }
 */
export function hopping(size: Duration, slide: Duration): TimeWindow {
  const sizeMs = windowSizeMs(size)
  const slideMs = durationMs(slide, 'window slide')
  checkSlide(slideMs, sizeMs, 'ms')
  return Object.freeze({ type: 'time', sizeMs, slideMs })
}

/**
 * One window per record: the rows of its key whose time is in `(time - size, time]`. Each record gives one result, once
 * the watermark has passed it. The result's `window` is `[time + 1 - size, time + 1)`: the same rows where times are
 * whole milliseconds.
 * @throws UsageError `WINDOW_SIZE`, `DURATION`
 * @example sliding('5s') // => { type: 'sliding', sizeMs: 5000 }
 */
export function sliding(size: Duration): SlidingWindow {
  return Object.freeze({ type: 'sliding', sizeMs: windowSizeMs(size) })
}

/**
 * Rows of a key that follow each other in less than `gap`. The window is `[first, last + gap)`. Rows exactly `gap` apart
 * belong to two sessions; with `merge: 'touching'` to one.
 * @throws UsageError `WINDOW_SIZE`, `DURATION`
 * @example session('30s') // => { type: 'session', gapMs: 30000, merge: 'apart' }
 */
export function session(gap: Duration, options: { readonly merge?: 'apart' | 'touching' } = {}): SessionWindow {
  return Object.freeze({ type: 'session', gapMs: windowSizeMs(gap, 'session gap'), merge: options.merge ?? 'apart' })
}

/**
 * Windows of `size` consecutive rows of a key, a new one every `slide` rows (default: `size`). A window gives a result
 * when it is full; at the end of input those that hold fewer rows do. Rows count as they arrive, or with
 * `order: 'eventTime'` by time, source, partition and offset, once the watermark has passed them.
 * The result's `window` is `[first time, last time + 1)`.
 * @throws UsageError `WINDOW_SIZE`, `WINDOW_SLIDE`
 * @example countWindow(100) // => { type: 'count', size: 100, slide: 100, order: 'arrival' }
 */
export function countWindow(size: number, slide?: number, options: { readonly order?: RowOrder } = {}): CountWindow {
  if (!Number.isSafeInteger(size) || size < 1) {
    throw new UsageError('WINDOW_SIZE', `a count window of ${String(size)} rows is not possible; use 1 or more.`, {
      data: { got: size },
    })
  }
  checkSlide(slide ?? size, size, 'rows')
  return Object.freeze({ type: 'count', size, slide: slide ?? size, order: options.order ?? 'arrival' })
}

/**
 * All rows of a key in one window without end. The trigger says when results come; `after: 'purge'` (default) starts
 * anew after each, `'accumulate'` keeps the rows. What has not come out comes out at the end of input.
 * The result's `window` is `[first time, last time + 1)`.
 * @example globalWindow({ trigger: everyCount(3) }) // => { type: 'global', trigger: { type: 'count', every: 3 }, after: 'purge' }
 */
export function globalWindow(options: {
  readonly trigger: Trigger
  readonly after?: 'purge' | 'accumulate'
}): GlobalWindow {
  return Object.freeze({ type: 'global', trigger: options.trigger, after: options.after ?? 'purge' })
}

/** Fires after every `every` rows of a key. @throws UsageError `WINDOW_SIZE` */
export function everyCount(every: number): Trigger {
  if (!Number.isSafeInteger(every) || every < 1) {
    throw new UsageError('WINDOW_SIZE', `everyCount(${String(every)}) never fires; use a whole number from 1.`, {
      data: { got: every },
    })
  }
  return Object.freeze({ type: 'count', every })
}

/** Fires every so often in processing time, for keys with new rows. @throws UsageError `WINDOW_SIZE`, `DURATION` */
export function everyTime(interval: Duration): Trigger {
  return Object.freeze({ type: 'time', everyMs: windowSizeMs(interval, 'trigger interval') })
}

/** Fires once, at the end of input. */
export function onEnd(): Trigger {
  return Object.freeze({ type: 'end' })
}

/** Fires after each row for which `test` returns true; that row is part of the result. */
export function when<Row>(test: (row: Row) => boolean): Trigger {
  return Object.freeze({ type: 'when', test })
}

function windowSizeMs(size: Duration, what = 'window size'): number {
  const sizeMs = durationMs(size, what)
  if (sizeMs < 1)
    throw new UsageError('WINDOW_SIZE', `${what} is ${size}; it must be at least 1ms.`, { data: { got: size } })
  return sizeMs
}

function checkSlide(slide: number, size: number, unit: string): void {
  if (Number.isSafeInteger(slide) && slide >= 1 && slide <= size) return
  throw new UsageError(
    'WINDOW_SLIDE',
    `the window slides by ${String(slide)} ${unit}, but its size is ${size} ${unit}: the slide must be from 1 to the size, or rows would belong to no window.`,
    { data: { slide, size, unit } },
  )
}
