/** Imports a user's file and finds the dataflow it exports; every way this fails has an answer. */
import { existsSync, statSync } from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Dataflow } from 'millrace'
import { MillraceError, UsageError } from 'millrace'
import { messageOf } from 'millrace/connector'
import { isDataflow } from 'millrace/host'

export interface LoadedFlow {
  readonly flow: Dataflow
  /** URL of the module, for worker threads. */
  readonly module: string
  readonly file: string
}

const EXTENSIONS = ['.ts', '.mts', '.js', '.mjs']

/** @throws UsageError `FILE_MISSING`, `FILE_SYNTAX`, `FILE_TYPESCRIPT`, `FILE_IMPORT`, `FLOW_MISSING`, `FLOW_CHOICE` */
export async function loadFlow(file: string, name: string | undefined, cwd: string): Promise<LoadedFlow> {
  const full = path.resolve(cwd, file)
  if (!existsSync(full) || !statSync(full).isFile()) throw missing(file, full)
  const module = pathToFileURL(full).href
  let exported: Readonly<Record<string, unknown>>
  try {
    exported = (await import(module)) as Readonly<Record<string, unknown>>
  } catch (error) {
    throw importFailure(error, file, full)
  }
  return { flow: choose(exported, name, file), module, file: full }
}

function choose(exported: Readonly<Record<string, unknown>>, name: string | undefined, file: string): Dataflow {
  const flows = Object.entries(exported).filter((entry): entry is [string, Dataflow] => isDataflow(entry[1]))
  if (flows.length === 0) {
    const names = Object.keys(exported)
    const found =
      names.length === 0
        ? 'it exports nothing'
        : `it exports ${names.map((n) => `${n} (${kindOf(exported[n])})`).join(', ')}`
    throw new UsageError(
      'FLOW_MISSING',
      `${file} exports no dataflow: ${found}. End the file with: export default flow`,
    )
  }
  // The same flow may be exported under two names.
  const distinct = new Map(flows.map(([key, flow]) => [flow, key]))
  if (name !== undefined) {
    const chosen = flows.find(([key, flow]) => key === name || flow.name === name)
    if (chosen !== undefined) return chosen[1]
    throw new UsageError('FLOW_CHOICE', `${file} exports no dataflow "${name}"; it exports ${list(flows)}.`)
  }
  const byDefault = flows.find(([key]) => key === 'default')
  if (byDefault !== undefined) return byDefault[1]
  if (distinct.size === 1) return flows[0][1]
  throw new UsageError(
    'FLOW_CHOICE',
    `${file} exports ${distinct.size} dataflows: ${list(flows)}. Say which: --flow ${flows[0][1].name}`,
  )
}

function list(flows: readonly (readonly [string, Dataflow])[]): string {
  return flows.map(([key, flow]) => `${flow.name} (export ${key})`).join(', ')
}

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  if (typeof value === 'object')
    return value instanceof Promise ? 'a promise: await it' : (value.constructor?.name ?? 'object')
  return typeof value
}

export function missing(file: string, full: string): UsageError {
  const other = EXTENSIONS.map((ext) => file.replace(/\.[cm]?[jt]s$/, '') + ext).find((f) =>
    existsSync(path.resolve(path.dirname(full), path.basename(f))),
  )
  const hint =
    other === undefined ? 'Check the path; it is taken from the folder you are in.' : `Did you mean ${other}?`
  return new UsageError('FILE_MISSING', `there is no file ${file}. ${hint}`)
}

export function importFailure(error: unknown, file: string, full: string): MillraceError {
  if (error instanceof MillraceError) return error
  const code = (error as { code?: unknown }).code
  const where = placeOf(error, full) ?? file
  if (code === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX') {
    return new UsageError(
      'FILE_TYPESCRIPT',
      `${where}: ${firstLine(messageOf(error))}. Node runs TypeScript by removing the types, so enum, namespace and parameter properties (constructor(private x)) cannot stay: use const objects and plain fields, or compile the file and run the JavaScript. "erasableSyntaxOnly": true in tsconfig.json finds them all.`,
      { cause: error },
    )
  }
  if (error instanceof SyntaxError) {
    return new UsageError('FILE_SYNTAX', `${where}: ${firstLine(error.message)}`, { cause: error })
  }
  if (code === 'ERR_MODULE_NOT_FOUND') {
    return new UsageError(
      'FILE_IMPORT',
      `${file} imports something that is not there: ${firstLine(messageOf(error))}. Relative imports are written with their extension (./steps.ts); packages are added with npm install.`,
      { cause: error },
    )
  }
  return new UsageError('FILE_IMPORT', `${where}: the file failed while it was loaded: ${messageOf(error)}`, {
    cause: error,
  })
}

/**
 * 'file.ts:12' of what failed. Syntax errors carry it in the first line of their stack ('file:///x.ts:12' or 'x.ts:12'),
 * others in the first frame of a user's file.
 */
function placeOf(error: unknown, full: string): string | undefined {
  const stack = error instanceof Error ? (error.stack ?? '') : ''
  for (const text of stack.split('\n')) {
    const match = /(?:file:\/\/)?(\/[^\s():]+|[A-Za-z]:[^\s():]+):(\d+)(?::\d+)?/.exec(text)
    if (match === null || match[1].includes('node_modules') || match[1].includes('/packages/core/src/')) continue
    const shown = path.relative(path.dirname(full), decodeURIComponent(match[1]))
    return `${shown}:${match[2]}`
  }
  return undefined
}

function firstLine(text: string): string {
  return text.trim().split('\n').at(-1)?.trim().replace(/\.$/, '') ?? ''
}
