/**
 * How many cases a property test draws. Small in development; CI multiplies with the environment variable
 * MILLRACE_CASES.
 */

/** `n` times MILLRACE_CASES (default 1), at least 1. */
export function cases(n: number): number {
  return Math.max(1, Math.round(n * Number(process.env.MILLRACE_CASES ?? 1)))
}
