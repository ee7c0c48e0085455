/**
 * How many cases a property test draws. Small in development; CI multiplies with the environment variable
 * MILLRACE_CASES.
 */
import { TestRunner } from 'vitest'

/** `n` times MILLRACE_CASES (default 1), at least 1. */
export function cases(n: number): number {
  return Math.max(1, Math.round(n * Number(process.env.MILLRACE_CASES ?? 1)))
}

/**
 * `cases(n)` for a property that holds an engine or an operator against a from-scratch oracle. The running test notes
 * how many it draws, and the count reporter of the repository adds them up: CI demands a number of them.
 */
export function oracleCases(n: number): number {
  const drawn = cases(n)
  const meta = TestRunner.getCurrentTest()?.meta as { oracleCases?: number } | undefined
  if (meta !== undefined) meta.oracleCases = (meta.oracleCases ?? 0) + drawn
  return drawn
}
