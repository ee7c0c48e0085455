/** JSON that came over a network becomes rows: parsed, held to the limits that protect the flow, and validated. */
import { isUtf8 } from 'node:buffer'
import { messageOf, UsageError } from 'millrace/connector'
import { RAW_BYTES } from '../file/decoder.ts'
import { type Checked, type StandardSchema, validate } from '../file/standard-schema.ts'
import type { Entry } from './intake.ts'

/**
 * How deep objects and arrays may lie in each other. A megabyte of brackets parses well, and then overflows the stack of
 * whatever walks through it: JSON.stringify, a deep comparison, a function of yours.
 */
const DEPTH_MAX = 64

/** What is wrong with one record. `line` counts from 1: lines, elements of an array, or 1 for a single value. */
export interface Problem {
  readonly line: number
  readonly code: string
  readonly message: string
}

/** The records of one body, good and bad, in order. */
export interface DecodedBody<T> {
  readonly entries: Entry<T>[]
  readonly problems: Problem[]
}

export type BodyFormat = 'json' | 'ndjson'

/** Decodes a body: one JSON value or an array of them, or one value per line. */
export function decodeBody<T>(
  bytes: Buffer,
  format: BodyFormat,
  schema: StandardSchema<T> | undefined,
): DecodedBody<T> {
  const body: DecodedBody<T> = { entries: [], problems: [] }
  if (format === 'ndjson') {
    let line = 0
    for (let from = 0; from < bytes.length; ) {
      const newline = bytes.indexOf(10, from)
      const end = newline === -1 ? bytes.length : newline
      line++
      const text = textOf(bytes.subarray(from, end))
      if (text === undefined || text.trim() !== '') put(body, line, text, bytes.subarray(from, end), schema)
      from = end + 1
    }
    return body
  }
  const text = textOf(bytes)
  const parsed = text === undefined ? NOT_UTF8 : parseJson(text)
  if (!('value' in parsed)) {
    reject(parsed.code, parsed.message, 1, shown(bytes), body)
    return body
  }
  const values = Array.isArray(parsed.value) ? parsed.value : [parsed.value]
  for (const [i, value] of values.entries()) accept(body, i + 1, value, undefined, schema)
  return body
}

type Parsed = { readonly value: unknown } | { readonly code: string; readonly message: string }

const NOT_UTF8 = { code: 'UTF8_INVALID', message: 'the record is not valid UTF-8.' }

function parseJson(text: string): Parsed {
  if (text.length > DEPTH_MAX && nestsDeeper(text, DEPTH_MAX))
    return { code: 'JSON_DEEP', message: `the record nests objects and arrays more than ${DEPTH_MAX} levels deep.` }
  try {
    return { value: JSON.parse(text) }
  } catch (thrown) {
    return { code: 'JSON_INVALID', message: `the record is not valid JSON: ${messageOf(thrown)}.` }
  }
}

function put<T>(
  body: DecodedBody<T>,
  line: number,
  text: string | undefined,
  raw: Buffer | string,
  schema: StandardSchema<T> | undefined,
): void {
  const parsed = text === undefined ? NOT_UTF8 : parseJson(text)
  if ('value' in parsed) accept(body, line, parsed.value, raw, schema)
  else reject(parsed.code, parsed.message, line, shown(raw), body)
}

function accept<T>(
  body: DecodedBody<T>,
  line: number,
  value: unknown,
  raw: Buffer | string | undefined,
  schema: StandardSchema<T> | undefined,
): void {
  if (schema === undefined) {
    // A flow's functions read fields: null would end it. Who wants other values says so with a schema.
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) body.entries.push({ row: value as T })
    else
      reject('RECORD_NOT_OBJECT', 'the record is no JSON object.', line, raw === undefined ? value : shown(raw), body)
    return
  }
  const checked = check(schema, value)
  if (checked.problem === undefined) body.entries.push({ row: checked.value })
  else {
    const message = `the record does not fit the schema: ${checked.problem}`
    reject('SCHEMA_MISS', message, line, shown(raw ?? JSON.stringify(value)), body)
  }
}

/** A schema that throws at a record is about that record. @throws UsageError `SCHEMA_ASYNC` */
function check<T>(schema: StandardSchema<T>, value: unknown): Checked<T> {
  try {
    return validate(schema, value)
  } catch (thrown) {
    if (thrown instanceof UsageError) throw thrown
    return { problem: messageOf(thrown) }
  }
}

function reject(code: string, message: string, line: number, raw: unknown, body: DecodedBody<unknown>): void {
  body.problems.push({ line, code, message })
  body.entries.push({ bad: { code, message, raw } })
}

function shown(raw: Buffer | string): string {
  return typeof raw === 'string' ? raw.slice(0, RAW_BYTES) : raw.toString('utf8', 0, RAW_BYTES)
}

function textOf(bytes: Buffer): string | undefined {
  return isUtf8(bytes) ? bytes.toString('utf8') : undefined
}

/** Do objects and arrays of a JSON text lie more than `depth` deep in each other? One pass; texts in quotes do not count. */
export function nestsDeeper(text: string, depth: number): boolean {
  let level = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === QUOTE) {
      for (i++; i < text.length && text.charCodeAt(i) !== QUOTE; i++) if (text.charCodeAt(i) === BACKSLASH) i++
    } else if (code === BRACE || code === BRACKET) {
      // An array of records is one level above them.
      if (++level > depth + 1) return true
    } else if (code === BRACE_END || code === BRACKET_END) {
      level--
    }
  }
  return false
}

const QUOTE = 34
const BACKSLASH = 92
const BRACKET = 91
const BRACKET_END = 93
const BRACE = 123
const BRACE_END = 125
