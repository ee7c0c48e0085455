/** JSON headers of frames: who connects, what a node offers, how a call is opened. Read with care: peers send them. */
import { RemoteError } from '../remote-error.ts'

export const PROTOCOL_VERSION = 1

/** A client calls, a node offers, a peer is a gateway that offers its nodes, 'alive' proves from another thread that a node lives. */
export type Role = 'client' | 'node' | 'peer' | 'alive'

export interface Hello {
  readonly version: number
  readonly role: Role
  readonly token?: string
  /** Name of a node. */
  readonly id?: string
  readonly offer?: Offer
  /** Of a peer: its nodes. */
  readonly nodes?: readonly PeerNode[]
  /** For 'alive': the session of the node and the word that proves it. */
  readonly session?: string
  readonly secret?: string
}

export interface Welcome {
  readonly version: number
  readonly session: string
  readonly secret: string
  readonly pingMs: number
  readonly silentMs: number
  readonly payloadBytesMax: number
  readonly gateway: string
}

export type Tag = string | number | boolean
export type Tags = Readonly<Record<string, Tag>>

export type FunctionKind = 'call' | 'stream'

export const POLICIES = ['least-in-flight', 'round-robin', 'random', 'weighted', 'latency', 'hash'] as const
export type Policy = (typeof POLICIES)[number]

export interface OfferedFunction {
  readonly name: string
  readonly kind: FunctionKind
  readonly description?: string
  readonly version?: string
  /** Calls of it that run at once on the node. */
  readonly concurrency?: number
  readonly policy?: Policy
  /** JSON Schemas of the arguments (an array) and of the result or item. */
  readonly input?: Readonly<Record<string, unknown>>
  readonly output?: Readonly<Record<string, unknown>>
}

export interface Offer {
  readonly functions: readonly OfferedFunction[]
  readonly tags?: Tags
  /** Share of the calls under the policy 'weighted'. */
  readonly weight?: number
  /** Streams that wait for their consumer to come back. */
  readonly held?: readonly string[]
  /** CPU (0..1) and resident bytes, for lists. */
  readonly load?: { readonly cpu: number; readonly memoryBytes: number }
}

/** A node of another gateway, as that one tells of it. */
export interface PeerNode {
  readonly id: string
  readonly offer: Offer
  readonly isDraining: boolean
}

export type CallMode = 'call' | 'stream'

export interface OpenHeader {
  readonly fn: string
  readonly mode: CallMode
  /** Time that is left, ms: each hop takes off what it used. */
  readonly deadlineMs?: number
  readonly where?: Tags
  readonly node?: string
  /** Name of the call for the function, which the caller gives again when it calls again. */
  readonly id?: string
  /** For the policy 'hash'. */
  readonly key?: string
  readonly policy?: Policy
  /** May run more than once. */
  readonly idempotent?: boolean
  /** Credit of the result. */
  readonly credit: { readonly items: number; readonly bytes: number }
  /** Positions of the streams among the arguments; the streams are numbered from 1. */
  readonly streams?: readonly number[]
  /** W3C traceparent. */
  readonly trace?: string
  /**
   * Name under which the node keeps the stream for its consumer, and how many items that has. `isAgain`: the stream was
   * opened before, and must go on, not begin.
   */
  readonly resume?: { readonly id: string; readonly after: number; readonly isAgain?: true }
}

const NAME = /^[A-Za-z0-9_$][A-Za-z0-9_.$/-]{0,199}$/

/** @throws RemoteError `INVALID_ARGUMENT` */
export function checkName(what: string, name: unknown): string {
  if (typeof name === 'string' && NAME.test(name)) return name
  throw new RemoteError(
    'INVALID_ARGUMENT',
    `${what} ${JSON.stringify(name)} is no name: 1 to 200 letters, digits and _ . - / $, not beginning with . - or /.`,
  )
}

/** @throws RemoteError `PROTOCOL_ERROR` for a header that is none */
export function parseHello(value: Record<string, unknown>): Hello {
  const { version, role, token, id, offer, nodes, session, secret } = value
  if (version !== PROTOCOL_VERSION) {
    throw new RemoteError(
      'PROTOCOL_ERROR',
      `the peer speaks version ${String(version)} of the protocol, this gateway version ${PROTOCOL_VERSION}; use one version of @millrace/remote.`,
    )
  }
  if (role !== 'client' && role !== 'node' && role !== 'peer' && role !== 'alive') throw malformed('role')
  return {
    version,
    role,
    ...(token === undefined ? {} : { token: stringOf(token, 'token') }),
    ...(id === undefined ? {} : { id: stringOf(id, 'id') }),
    ...(session === undefined ? {} : { session: stringOf(session, 'session') }),
    ...(secret === undefined ? {} : { secret: stringOf(secret, 'secret') }),
    ...(offer === undefined ? {} : { offer: parseOffer(offer) }),
    ...(nodes === undefined ? {} : { nodes: parsePeerNodes(nodes) }),
  }
}

const FUNCTIONS_MAX = 10_000
const HELD_MAX = 1_000
const TAGS_MAX = 100

/** @throws RemoteError `PROTOCOL_ERROR`, `INVALID_ARGUMENT` for a name that is none */
export function parseOffer(value: unknown): Offer {
  const { functions, tags, weight, held, load } = recordOf(value, 'offer')
  if (!Array.isArray(functions) || functions.length > FUNCTIONS_MAX) throw malformed('offer.functions')
  if (weight !== undefined && !(typeof weight === 'number' && weight >= 0 && Number.isFinite(weight))) {
    throw malformed('offer.weight')
  }
  if (held !== undefined && !(Array.isArray(held) && held.length <= HELD_MAX)) throw malformed('offer.held')
  return {
    functions: functions.map((each) => parseFunction(recordOf(each, 'offer.functions'))),
    ...(tags === undefined ? {} : { tags: parseTags(tags) }),
    ...(weight === undefined ? {} : { weight }),
    ...(held === undefined ? {} : { held: held.map((id) => stringOf(id, 'offer.held', RESUME_ID_CHARS_MAX)) }),
    ...(load === undefined ? {} : { load: recordOf(load, 'offer.load') as unknown as NonNullable<Offer['load']> }),
  }
}

const PEER_NODES_MAX = 10_000

/** @throws RemoteError `PROTOCOL_ERROR` */
export function parsePeerNodes(value: unknown): readonly PeerNode[] {
  if (!Array.isArray(value) || value.length > PEER_NODES_MAX) throw malformed('nodes')
  return value.map((each) => {
    const { id, offer, isDraining } = recordOf(each, 'nodes')
    return { id: checkName('node id', id), offer: parseOffer(offer), isDraining: isDraining === true }
  })
}

function parseFunction(value: Record<string, unknown>): OfferedFunction {
  const { name, kind, description, version, concurrency, policy, input, output } = value
  if (kind !== 'call' && kind !== 'stream') throw malformed('offer.functions.kind')
  if (policy !== undefined && !POLICIES.includes(policy as Policy)) throw malformed('offer.functions.policy')
  if (concurrency !== undefined && !(Number.isSafeInteger(concurrency) && (concurrency as number) > 0)) {
    throw malformed('offer.functions.concurrency')
  }
  return {
    name: checkName('function', name),
    kind,
    ...(description === undefined ? {} : { description: stringOf(description, 'description') }),
    ...(version === undefined ? {} : { version: stringOf(version, 'version') }),
    ...(concurrency === undefined ? {} : { concurrency: concurrency as number }),
    ...(policy === undefined ? {} : { policy: policy as Policy }),
    ...(input === undefined ? {} : { input: recordOf(input, 'input') }),
    ...(output === undefined ? {} : { output: recordOf(output, 'output') }),
  }
}

/** @throws RemoteError `PROTOCOL_ERROR` */
export function parseOpen(value: Record<string, unknown>): OpenHeader {
  const { fn, mode, deadlineMs, where, node, id, key, policy, idempotent, credit, streams, trace, resume } = value
  if (mode !== 'call' && mode !== 'stream') throw malformed('mode')
  if (policy !== undefined && !POLICIES.includes(policy as Policy)) throw malformed('policy')
  const window = recordOf(credit, 'credit')
  const again = resume === undefined ? undefined : recordOf(resume, 'resume')
  return {
    fn: stringOf(fn, 'fn'),
    mode,
    credit: { items: countOf(window.items, 'credit.items'), bytes: countOf(window.bytes, 'credit.bytes') },
    ...(deadlineMs === undefined ? {} : { deadlineMs: numberOf(deadlineMs, 'deadlineMs') }),
    ...(where === undefined ? {} : { where: parseTags(where) }),
    ...(node === undefined ? {} : { node: stringOf(node, 'node') }),
    ...(id === undefined ? {} : { id: stringOf(id, 'id') }),
    ...(key === undefined ? {} : { key: stringOf(key, 'key') }),
    ...(policy === undefined ? {} : { policy: policy as Policy }),
    ...(idempotent === true ? { idempotent: true } : {}),
    ...(streams === undefined ? {} : { streams: parsePositions(streams) }),
    ...(trace === undefined ? {} : { trace: stringOf(trace, 'trace') }),
    ...(again === undefined
      ? {}
      : {
          resume: {
            id: stringOf(again.id, 'resume.id', RESUME_ID_CHARS_MAX),
            after: countOf(again.after, 'resume.after', Number.MAX_SAFE_INTEGER),
            ...(again.isAgain === true ? { isAgain: true } : {}),
          },
        }),
  }
}

/** @throws RemoteError `PROTOCOL_ERROR` */
export function parseWelcome(value: Record<string, unknown>): Welcome {
  const { version, session, secret, pingMs, silentMs, payloadBytesMax, gateway } = value
  if (!(numberOf(pingMs, 'pingMs') >= 1 && numberOf(silentMs, 'silentMs') >= (pingMs as number))) {
    throw malformed('silentMs')
  }
  return {
    version: countOf(version, 'version'),
    session: stringOf(session, 'session'),
    secret: stringOf(secret, 'secret'),
    pingMs: numberOf(pingMs, 'pingMs'),
    silentMs: numberOf(silentMs, 'silentMs'),
    payloadBytesMax: countOf(payloadBytesMax, 'payloadBytesMax'),
    gateway: stringOf(gateway, 'gateway'),
  }
}

const STREAMS_MAX = 64

function parsePositions(value: unknown): readonly number[] {
  if (!Array.isArray(value) || value.length > STREAMS_MAX) throw malformed('streams')
  return value.map((position) => countOf(position, 'streams'))
}

function parseTags(value: unknown): Tags {
  const tags = recordOf(value, 'tags')
  const entries = Object.entries(tags)
  if (entries.length > TAGS_MAX) throw malformed('tags')
  for (const [, tag] of entries) if (!['string', 'number', 'boolean'].includes(typeof tag)) throw malformed('tags')
  return tags as Tags
}

function recordOf(value: unknown, what: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw malformed(what)
}

const TEXT_CHARS_MAX = 4096
const RESUME_ID_CHARS_MAX = 500

function stringOf(value: unknown, what: string, charsMax = TEXT_CHARS_MAX): string {
  if (typeof value === 'string' && value.length <= charsMax) return value
  throw malformed(what)
}

function numberOf(value: unknown, what: string): number {
  if (typeof value === 'number' && Number.isFinite(value)) return value
  throw malformed(what)
}

function countOf(value: unknown, what: string, most = 0xffff_ffff): number {
  if (Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= most) return value as number
  throw malformed(what)
}

function malformed(what: string): RemoteError {
  return new RemoteError('PROTOCOL_ERROR', `"${what}" of a header is malformed; the peer does not speak this protocol.`)
}
