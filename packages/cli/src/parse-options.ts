/** Values of command line options, checked where they are read. Every refusal names the option and what it takes. */
import { InvalidArgumentError } from 'commander'
import { type Duration, durationMs, type Position } from 'millrace'
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

const TIME_UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }

/** A length of time up to an hour: a number of seconds, or with a unit. Gives ms with fractions. */
export function timeMs(text: string): number {
  const found = /^(\d+(?:\.\d+)?|\.\d+)(ms|s|m|h)?$/.exec(text)
  // Rounded to the nanosecond: 0.07 s are 70 ms, not 70.00000000000001.
  const ms = found === null ? Number.NaN : Math.round(Number(found[1]) * TIME_UNITS_MS[found[2] ?? 's'] * 1e6) / 1e6
  if (ms <= 3_600_000) return ms
  throw new InvalidArgumentError("It must be seconds (0.05) or a number and a unit ('50ms', '2s'), an hour at most.")
}

const SIZE_UNITS: readonly string[] = ['', 'k', 'm', 'g']

/** A number of bytes up to 1 TB: `1MB` is 1,000,000, `1MiB` is 1,048,576. */
export function sizeBytes(text: string): number {
  const found = /^(\d+(?:\.\d+)?)(?:(?:([kmg])(i?))?b)?$/i.exec(text)
  const unit = SIZE_UNITS.indexOf((found?.[2] ?? '').toLowerCase())
  const bytes =
    found === null ? Number.NaN : Math.round(Number(found[1]) * (found[3] ? 1024 : 1000) ** unit * 1e3) / 1e3
  if (Number.isInteger(bytes) && bytes >= 1 && bytes <= 1e12) return bytes
  throw new InvalidArgumentError(
    "It must be whole bytes, 1 to 1 TB, with or without a unit: '300', '2kB', '1MB', '4KiB'.",
  )
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

/** A duration means that long ago; else an ISO 8601 date, or ms since the epoch. */
export function pastTime(text: string): number {
  if (/^\d+(\.\d+)?(ms|s|m|h|d)$/.test(text)) return Date.now() - durationMs(text as Duration, 'time')
  const ms = /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : Date.parse(text)
  if (Number.isNaN(ms))
    throw new InvalidArgumentError('It must be a duration (10m: that long ago), a time (2026-01-31T12:00:00Z), or ms.')
  return ms
}

function jsonOrText(text: string): Position {
  try {
    return JSON.parse(text) as Position
  } catch {
    return text
  }
}
