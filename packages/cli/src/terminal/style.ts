/**
 * Decided once per stream: colour, motion, width. Colours are only the 16 named ones of ANSI and never the only sign of
 * anything: each state is also a word. Everything drawn is ASCII.
 */
import picocolors from 'picocolors'
import stringWidth from 'string-width'
import type { Io, Output } from '../io.ts'

export type ColorMode = 'auto' | 'always' | 'never'

export interface Style {
  readonly hasColor: boolean
  /** May lines be drawn over? */
  readonly hasMotion: boolean
  good(text: string): string
  warn(text: string): string
  bad(text: string): string
  dim(text: string): string
  bold(text: string): string
}

/** Below, lines are wrapped more often than drawn over. A terminal without a size (a bare pty) says 0. */
const MOTION_COLUMNS_MIN = 20

export function styleFor(stream: Output, env: Io['env'], mode: ColorMode = 'auto'): Style {
  const isTerminal = stream.isTTY === true && env.TERM !== 'dumb'
  const wantsColor = isTerminal && (env.NO_COLOR ?? '') === ''
  const hasColor = mode === 'always' || (mode === 'auto' && wantsColor)
  const colors = picocolors.createColors(hasColor)
  return {
    hasColor,
    hasMotion: isTerminal && (env.CI ?? '') === '' && (stream.columns ?? 80) >= MOTION_COLUMNS_MIN,
    good: colors.green,
    warn: colors.yellow,
    bad: colors.red,
    dim: colors.dim,
    bold: colors.bold,
  }
}

/** Columns a stream shows; 80 where it does not say. */
export function widthOf(stream: Output, env: Io['env']): number {
  const given = stream.columns ?? Number(env.COLUMNS)
  return Number.isInteger(given) && given > 0 ? given : 80
}

/** Text of others (names, messages) without control and direction characters, which could redraw the terminal. */
export function plain(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: removing them is the purpose
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, (c) =>
    c === '\t' || c === '\n' ? ' ' : '?',
  )
}

export function padEnd(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - stringWidth(text)))
}

export function padStart(text: string, width: number): string {
  return ' '.repeat(Math.max(0, width - stringWidth(text))) + text
}

/** Names are cut in the middle: their ends differ most often. */
export function cutMiddle(text: string, width: number): string {
  if (stringWidth(text) <= width) return text
  if (width <= 2) return text.slice(0, width)
  const head = Math.ceil((width - 2) / 2)
  return `${text.slice(0, head)}..${text.slice(text.length - (width - 2 - head))}`
}

/** Breaks a sentence between words; further lines are indented. A word longer than a line stays whole. */
export function wrapWords(text: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line.trim() !== '' && stringWidth(line) + 1 + stringWidth(word) > width) {
      lines.push(line)
      line = '  '
    }
    line = line.trim() === '' ? `${line}${word}` : `${line} ${word}`
  }
  return [...lines, line]
}

/** Sentences are cut at their end. */
export function cutEnd(text: string, width: number): string {
  return stringWidth(text) <= width ? text : `${text.slice(0, Math.max(0, width - 2))}..`
}
