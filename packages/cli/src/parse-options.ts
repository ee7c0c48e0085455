/** Values of command line options, checked where they are read. Every refusal names the option and what it takes. */
import { InvalidArgumentError } from 'commander'
import type { Duration, Position } from 'millrace'
import type { ColorMode } from './terminal/style.ts'

export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const n = Number(text)
    if (!/^\d+$/.test(text) || n < min || n > max)
      throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`)
    return n
  }
}

export function duration(text: string): Duration {
  if (!/^\d+(\.\d+)?(ms|s|m|h|d)$/.test(text))
    throw new InvalidArgumentError("It must be a number and a unit: '100ms', '10s', '5m'.")
  return text as Duration
}

export function names(text: string, before: readonly string[] = []): string[] {
  return [
    ...before,
    ...text
      .split(',')
      .map((name) => name.trim())
      .filter((name) => name !== ''),
  ]
}

export function colorMode(text: string): ColorMode {
  if (text === 'auto' || text === 'always' || text === 'never') return text
  throw new InvalidArgumentError('It must be auto, always or never.')
}

export function savepointName(text: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$/.test(text) && !text.endsWith('.tmp')) return text
  throw new InvalidArgumentError('It must be 1 to 80 letters, digits, dots, dashes or underscores.')
}

export type Positions = Record<string, Record<string, Position>>

/**
 * `SOURCE=POSITION` for every partition of a source, `SOURCE/PARTITION=POSITION` for one, `earliest` or
 * `SOURCE=earliest` for the beginning, which is where a flow without state starts anyway. A position is JSON, or text.
 */
export function fromPosition(text: string, before: Positions = {}): Positions {
  if (text === 'earliest' || text.endsWith('=earliest')) return before
  const found = /^([^=/]+)(?:\/([^=]+))?=(.+)$/.exec(text)
  if (found === null)
    throw new InvalidArgumentError('It must be SOURCE=POSITION, SOURCE/PARTITION=POSITION or earliest.')
  const [, source, partition = '*', position] = found
  return { ...before, [source]: { ...before[source], [partition]: jsonOrText(position) } }
}

/** An event time (ISO 8601 date, or ms since the epoch), or positions as in --from. */
export function untilPosition(text: string, before?: number | Positions): number | Positions {
  if (text.includes('=')) return fromPosition(text, typeof before === 'object' ? before : {})
  const ms = /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : Date.parse(text)
  if (Number.isNaN(ms))
    throw new InvalidArgumentError(
      'It must be a time (2026-01-31T12:00:00Z, or ms since the epoch) or SOURCE=POSITION.',
    )
  return ms
}

function jsonOrText(text: string): Position {
  try {
    return JSON.parse(text) as Position
  } catch {
    return text
  }
}
