/** The one error of remote calls: what went wrong, where, and whether calling again may help. */
import { OperationalError } from 'millrace/connector'

/** Every code a call may end with. */
export const REMOTE_CODES = [
  /** No node offers a function of this name; the message has names that are near. */
  'NOT_FOUND',
  /** Arguments that the function's contract refuses, an option out of its range, a value that cannot be sent. */
  'INVALID_ARGUMENT',
  /** The function threw. `name`, `data`, `cause` and `remoteStack` are its own. */
  'USER_ERROR',
  /** Nodes offer the function, none of them can take the call now: tags, drain, loss. */
  'UNAVAILABLE',
  /** The node that ran the call is gone. */
  'NODE_LOST',
  /** The thread that ran the call is gone; its node goes on. */
  'THREAD_LOST',
  /** The link to the gateway broke while the call was open. */
  'CONNECTION_LOST',
  'GATEWAY_UNREACHABLE',
  'DEADLINE_EXCEEDED',
  'CANCELLED',
  /** A limit of calls or of a queue is reached; `data.retryAfterMs` says when to come again. */
  'RESOURCE_EXHAUSTED',
  'PAYLOAD_TOO_LARGE',
  'UNAUTHENTICATED',
  'PERMISSION_DENIED',
  'PROTOCOL_ERROR',
  /** Another node registered under the same id; this one is out. */
  'FENCED',
  /** A stream that was to be resumed is no longer held. */
  'STREAM_LOST',
  'INTERNAL',
] as const

export type RemoteCode = (typeof REMOTE_CODES)[number]

export interface RemoteErrorDetails {
  /** JSON-safe facts for tools. */
  readonly data?: Readonly<Record<string, unknown>>
  readonly cause?: unknown
  readonly retryable?: boolean
  /** Node that ran the call. */
  readonly node?: string
  readonly function?: string
  /** Name of the class of what the function threw. */
  readonly remoteName?: string
  readonly remoteStack?: string
}

/**
 * A remote call, stream or link failed.
 * @example new RemoteError('NOT_FOUND', 'no node offers "ad"').code // => 'NOT_FOUND'
 */
export class RemoteError extends OperationalError {
  declare readonly code: RemoteCode
  readonly node: string | undefined
  readonly function: string | undefined
  readonly remoteName: string | undefined
  readonly remoteStack: string | undefined

  constructor(code: RemoteCode, message: string, details: RemoteErrorDetails = {}) {
    super(code, message, details)
    this.node = details.node
    this.function = details.function
    this.remoteName = details.remoteName
    this.remoteStack = details.remoteStack
  }
}

/** An error as it travels. */
export interface PlainRemoteError {
  readonly code: string
  readonly message: string
  readonly retryable?: boolean
  readonly data?: Readonly<Record<string, unknown>>
  readonly node?: string
  readonly function?: string
  readonly name?: string
  readonly stack?: string
  readonly cause?: PlainRemoteError
}

const CAUSES_MAX = 8
/** An error goes out in one frame. */
const STACK_CHARS_MAX = 4 * 1024
const MESSAGE_CHARS_MAX = 8 * 1024
const DATA_CHARS_MAX = 8 * 1024

/** What a peer is told of an error; `withStack` false leaves the stacks out. */
export function toPlainError(thrown: unknown, withStack = true, depth = 0): PlainRemoteError {
  const known = thrown instanceof RemoteError ? thrown : undefined
  const error = thrown instanceof Error ? thrown : undefined
  const message = (error?.message ?? String(thrown)).slice(0, MESSAGE_CHARS_MAX)
  const data = plainData((thrown as { data?: unknown } | undefined)?.data)
  const name = known === undefined ? (error?.name ?? typeof thrown) : known.remoteName
  const stack = withStack ? (known === undefined ? error?.stack : known.remoteStack) : undefined
  const cause = error?.cause === undefined || depth >= CAUSES_MAX ? undefined : error.cause
  return {
    code: known?.code ?? 'USER_ERROR',
    message,
    ...(known?.retryable === true ? { retryable: true } : {}),
    ...(data === undefined || Object.keys(data).length === 0 ? {} : { data }),
    ...(known?.node === undefined ? {} : { node: known.node }),
    ...(known?.function === undefined ? {} : { function: known.function }),
    ...(name === undefined ? {} : { name }),
    ...(stack === undefined ? {} : { stack: stack.slice(0, STACK_CHARS_MAX) }),
    ...(cause === undefined ? {} : { cause: toPlainError(cause, withStack, depth + 1) }),
  }
}

/** The error a peer told of. Anything malformed becomes an INTERNAL error rather than an exception. */
export function fromPlainError(plain: unknown): RemoteError {
  if (typeof plain !== 'object' || plain === null) return new RemoteError('INTERNAL', 'the peer sent no error.')
  const { code, message, retryable, data, node, function: fn, name, stack, cause } = plain as Partial<PlainRemoteError>
  const isKnown = (REMOTE_CODES as readonly unknown[]).includes(code)
  return new RemoteError(isKnown ? (code as RemoteCode) : 'INTERNAL', text(message) ?? 'the peer gave no message.', {
    retryable: retryable === true,
    ...(isRecord(data) ? { data } : {}),
    ...(text(node) === undefined ? {} : { node: text(node) as string }),
    ...(text(fn) === undefined ? {} : { function: text(fn) as string }),
    ...(text(name) === undefined ? {} : { remoteName: text(name) as string }),
    ...(text(stack) === undefined ? {} : { remoteStack: text(stack) as string }),
    ...(isRecord(cause) ? { cause: fromPlainError(cause) } : {}),
  })
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function plainData(data: unknown): Record<string, unknown> | undefined {
  if (!isRecord(data)) return undefined
  try {
    const json = JSON.stringify(data)
    return json.length > DATA_CHARS_MAX ? undefined : (JSON.parse(json) as Record<string, unknown>)
  } catch {
    return undefined
  }
}
