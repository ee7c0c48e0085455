/** Time as the two nodes see it: passed in, so that tests own it and `--speed` can hurry it. */
import { setTimeout as sleep } from 'node:timers/promises'

export interface Clock {
  /** Monotonic, ms. */
  now(): number
  /** The same at the speed of the world, for measuring what really took time. */
  real(): number
  /** ms since 1970, with fractions. */
  epoch(): number
  /** Resolves when `now()` has come to `atMs`, at once when it has; rejects when the signal is aborted. */
  until(atMs: number, signal?: AbortSignal): Promise<void>
}

/** The machine's clock. With a speed of 10 a second of the program lasts 100 ms; dates stay true. */
export function realClock(speed = 1): Clock {
  const startMs = performance.now()
  const now = (): number => startMs + (performance.now() - startMs) * speed
  return {
    now,
    real: () => performance.now(),
    epoch: epochMs,
    async until(atMs, signal) {
      for (;;) {
        signal?.throwIfAborted()
        const leftMs = (atMs - now()) / speed
        if (leftMs <= 0) return
        await sleep(Math.ceil(leftMs), undefined, signal === undefined ? {} : { signal })
      }
    },
  }
}

/** ms since 1970, finer than a millisecond: what processes of one machine can compare. */
export function epochMs(): number {
  return performance.timeOrigin + performance.now()
}

/** Local time without a zone, to the microsecond: `2026-11-22T16:31:39.123456`. */
export function localIso(atMs: number): string {
  const wholeMs = Math.floor(atMs)
  const local = new Date(wholeMs - new Date(wholeMs).getTimezoneOffset() * 60_000).toISOString()
  return `${local.slice(0, -1)}${String(Math.floor((atMs - wholeMs) * 1000)).padStart(3, '0')}`
}

/** A course of steps that take time: what they took is either measured or, in a simulation, what was planned. */
export interface Timeline {
  /** ms */
  now(): number
  wait(ms: number): Promise<void>
}

export function measured(clock: Clock, signal?: AbortSignal): Timeline {
  return { now: () => clock.real(), wait: (ms) => clock.until(clock.now() + ms, signal) }
}

/** Every step takes exactly what it waits: the same figures in every run, at any speed, on any machine. */
export function planned(clock: Clock, signal?: AbortSignal): Timeline {
  const startMs = clock.now()
  // Counted from 0: the difference of two large times would be rounded otherwise in every run.
  let elapsedMs = 0
  return {
    now: () => elapsedMs,
    wait(ms) {
      elapsedMs += ms
      return clock.until(startMs + elapsedMs, signal)
    },
  }
}
