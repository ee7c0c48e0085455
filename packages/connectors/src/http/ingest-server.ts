/**
 * The server behind `httpIngest`: takes requests in, hands their records to the flow, and answers when they are committed.
 *
 * A request goes through `#enter` (may it?), `#admit` (is there room?), `#receive` (its body), `#decode` (its records, all
 * or none), the intake (the flow reads), and an answer after the commit.
 *
 * Invariants:
 *  H1  200 is sent only after a commit holds every record of the request. Whoever gets another answer, or none, may
 *      send again.
 *  H2  Every request gets one answer, also when the flow stops.
 *  H3  While there is no room, at most one body is read: the oldest. So there is always one that can become whole.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Position, SourceBatch, SourceContext, SourceReader } from 'millrace/connector'
import type { StandardSchema } from '../file/standard-schema.ts'
import { answer, turnAway } from './answer.ts'
import { Body, type Refusal, tooLarge } from './body.ts'
import { checkPosition, Intake, type IntakeLimits, type IntakePosition, type Parcel } from './intake.ts'
import { type BodyFormat, decodeBody, type Problem } from './json-rows.ts'
import { Listener, type ListenOptions } from './listen.ts'
import { ALL, RememberedKeys } from './remembered-keys.ts'
import { isAuthorized } from './token.ts'

export interface IngestSettings<T> {
  readonly listen: ListenOptions
  readonly path: string
  readonly ack: 'commit' | 'accept'
  readonly onBad: 'refuse' | 'skip'
  readonly schema: StandardSchema<T> | undefined
  readonly token: string | undefined
  readonly bodyBytesMax: number
  readonly bodyTimeoutMs: number
  readonly buffer: IntakeLimits
  readonly waitingMax: number
  /** 0: keys are not looked at. */
  readonly keysMax: number
}

export const PARTITION = 'http'

/** How often bodies are looked at for being slow. */
const SWEEP_MS = 250
/** While others need its place, a body must come at this rate, in each second. */
const BYTES_PER_S_MIN = 1024
/** A body of this age is turned away when half bodies take all connections, or fill the buffer. */
const HALF_BODY_MS = 1000
/** Requests that a client may send ahead of their answers on one connection. */
const PIPELINED_MAX = 16
/** Bad records that an answer names. */
const PROBLEMS_MAX = 20
/** What connections get to take their answers when the flow stops. */
const CLOSE_MS = 1000

interface Call {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly format: BodyFormat
  readonly isPacked: boolean
  /** Digest of its idempotency key. */
  readonly key: string | undefined
  readonly since: number
}

interface Received {
  readonly call: Call
  readonly bytes: Buffer
}

export class IngestServer<T> implements SourceReader<T> {
  readonly #settings: IngestSettings<T>
  readonly #ctx: SourceContext
  readonly #intake: Intake<T>
  readonly #listener: Listener
  readonly #keys: RememberedKeys | undefined
  /** Calls whose body is not read yet, for lack of room. */
  readonly #waiting = new Set<Call>()
  /** Bodies that are coming, the oldest first. */
  readonly #receiving = new Set<Body>()
  /** Whole bodies whose records have no room yet. */
  #received: Received[] = []
  /** Responses that wait for the commit of a request with this key, besides the one that brought it. */
  readonly #sameKey = new Map<string, Call[]>()
  readonly #openRequests = new WeakMap<Socket, number>()
  #sweep: NodeJS.Timeout | undefined
  #isClosed = false

  constructor(settings: IngestSettings<T>, position: Position | undefined, ctx: SourceContext) {
    this.#settings = settings
    this.#ctx = ctx
    this.#intake = new Intake(settings.buffer, PARTITION, position, ctx)
    this.#intake.onRoom = () => this.#useRoom()
    if (settings.keysMax > 0) {
      const keys = new RememberedKeys(settings.keysMax, checkPosition<IntakePosition>(position, ctx.step).memo)
      this.#keys = keys
      this.#intake.memo = () => keys.memo()
    }
    this.#listener = new Listener(settings.listen, 'http', ctx)
    this.#listener.giveUp = () => this.#giveUpOldest()
  }

  /** @throws OperationalError `LISTEN_PORT_IN_USE`, `LISTEN_FAILED` */
  async open(): Promise<void> {
    const { server } = this.#listener
    server.on('request', (request, response) => this.#enter(request, response))
    // The client asks before it sends: `#receive` tells it to go on.
    server.on('checkContinue', (request, response) => this.#enter(request, response))
    await this.#listener.open()
    this.#sweep = setInterval(() => this.#checkTimes(), SWEEP_MS)
  }

  read(maxRows: number): Promise<SourceBatch<T> | 'end'> | SourceBatch<T> | 'end' {
    return this.#intake.read(maxRows)
  }

  committed(position: Position): void {
    this.#intake.committed(position)
  }

  lag(): number {
    return this.#intake.lag()
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    clearInterval(this.#sweep)
    this.#intake.close()
    for (const call of this.#waiting) this.#turnAway(call.request, call.response, STOPPED)
    for (const body of [...this.#receiving]) body.refuse(STOPPED)
    for (const { call } of this.#received) this.#turnAway(call.request, call.response, STOPPED)
    for (const calls of this.#sameKey.values())
      for (const { request, response } of calls) this.#turnAway(request, response, STOPPED)
    this.#waiting.clear()
    this.#received = []
    this.#sameKey.clear()
    await this.#listener.close(CLOSE_MS)
  }

  #enter(request: IncomingMessage, response: ServerResponse): void {
    this.#track(request.socket, response)
    const { path, token } = this.#settings
    const target = (request.url ?? '/').split('?', 1)[0]
    if (target === '/health' && (request.method === 'GET' || request.method === 'HEAD')) {
      answer(response, 200, { status: this.#intake.isFull ? 'full' : 'ok' })
      return
    }
    let refusal: Refusal | undefined
    if (this.#isClosed) refusal = STOPPED
    else if (target !== path) refusal = { status: 404, code: 'PATH_UNKNOWN', message: `records go to ${path}.` }
    else if (request.method !== 'POST') refusal = { status: 405, code: 'METHOD', message: 'records come with POST.' }
    else if (!isAuthorized(request, token))
      refusal = { status: 401, code: 'TOKEN', message: 'the header "Authorization: Bearer TOKEN" is missing or wrong.' }
    const format = formatOf(request)
    const packing = request.headers['content-encoding'] ?? 'identity'
    refusal ??= this.#checkHead(request, format, packing)
    if (refusal !== undefined || format === undefined) {
      this.#turnAway(request, response, refusal ?? UNSUPPORTED)
      return
    }
    const given = request.headers['idempotency-key']
    this.#admit({
      request,
      response,
      format,
      isPacked: packing === 'gzip',
      key: this.#keys !== undefined && typeof given === 'string' ? RememberedKeys.digest(given) : undefined,
      since: performance.now(),
    })
  }

  #checkHead(request: IncomingMessage, format: BodyFormat | undefined, packing: string): Refusal | undefined {
    if (format === undefined) return UNSUPPORTED
    if (packing !== 'identity' && packing !== 'gzip') {
      const message = `the content encoding "${packing}" is unknown; send the body plain or with gzip.`
      return { status: 415, code: 'ENCODING_UNKNOWN', message }
    }
    const { bodyBytesMax } = this.#settings
    return Number(request.headers['content-length'] ?? 0) > bodyBytesMax ? tooLarge(bodyBytesMax) : undefined
  }

  /** A connection is busy while it has a request; a client that floods it with requests loses it. */
  #track(socket: Socket, response: ServerResponse): void {
    const open = (this.#openRequests.get(socket) ?? 0) + 1
    this.#openRequests.set(socket, open)
    if (open > PIPELINED_MAX) socket.destroy()
    this.#listener.busy(socket)
    response.once('close', () => {
      const left = (this.#openRequests.get(socket) ?? 1) - 1
      this.#openRequests.set(socket, left)
      if (left === 0) this.#listener.idle(socket)
    })
  }

  #admit(call: Call): void {
    if (!this.#intake.isFull && this.#waiting.size === 0) {
      this.#receive(call)
      return
    }
    if (this.#waiting.size >= this.#settings.waitingMax) {
      this.#turnAway(call.request, call.response, BUSY)
      return
    }
    // Nobody reads the request: the client is held back by TCP.
    this.#waiting.add(call)
    call.response.once('close', () => this.#waiting.delete(call))
  }

  #receive(call: Call): void {
    const { request, response, isPacked } = call
    if (request.destroyed) return
    if (request.headers.expect !== undefined) response.writeContinue()
    const { bodyBytesMax: bytesMax, bodyTimeoutMs: timeoutMs } = this.#settings
    const body = new Body(request, isPacked, { bytesMax, timeoutMs }, (bytes) => {
      this.#intake.hold(bytes)
      if (bytes > 0 && this.#intake.isFull && !this.#isOldest(body)) body.pause()
    })
    this.#receiving.add(body)
    void body.receive().then((outcome) => {
      this.#receiving.delete(body)
      // H3: the next one may go on, however full it is.
      for (const oldest of this.#receiving) {
        oldest.resume()
        break
      }
      if (outcome === undefined) return
      if (!Buffer.isBuffer(outcome)) this.#turnAway(request, response, outcome)
      else if (this.#isClosed) this.#turnAway(request, response, STOPPED)
      else {
        this.#received.push({ call, bytes: outcome })
        this.#decodeReceived()
      }
    })
  }

  #isOldest(body: Body): boolean {
    for (const oldest of this.#receiving) return oldest === body
    return true
  }

  /** Records enter as far as they have room; the bytes of bodies are held meanwhile. */
  #decodeReceived(): void {
    while (!this.#intake.isFullOfRecords) {
      const next = this.#received.shift()
      if (next === undefined) break
      try {
        this.#decode(next.call, next.bytes)
      } catch (thrown) {
        this.#turnAway(next.call.request, next.call.response, STOPPED)
        this.#intake.fail(thrown)
      }
      // From here on the intake holds them, if they entered. This may make room, and so come back here.
      this.#intake.hold(-next.bytes.length)
    }
  }

  #decode(call: Call, bytes: Buffer): void {
    const { response, key } = call
    const { entries, problems } = decodeBody(bytes, call.format, this.#settings.schema)
    if (problems.length > 0 && this.#settings.onBad === 'refuse') {
      answer(response, 400, refused(entries.length, problems))
      return
    }
    const before = key === undefined ? 0 : (this.#keys?.entered(key) ?? 0)
    if (key !== undefined && this.#repeats(call, key, before, entries.length)) return
    if (entries.length === 0) {
      answer(response, 200, { records: 0 })
      return
    }
    this.#intake.add(this.#parcel(call, entries.slice(before), entries.length, bytes.length))
    if (key !== undefined) this.#sameKey.set(key, [])
    if (this.#settings.ack === 'accept') answer(response, 202, { records: entries.length })
  }

  /** True when the request is known and needs nothing more than its answer. */
  #repeats(call: Call, key: string, entered: number, records: number): boolean {
    const waiting = this.#sameKey.get(key)
    if (waiting !== undefined && this.#settings.ack === 'commit') waiting.push(call)
    else if (waiting !== undefined || entered >= records)
      answer(call.response, this.#settings.ack === 'commit' ? 200 : 202, { records, repeated: true })
    else return false
    return true
  }

  #parcel(call: Call, entries: Parcel<T>['entries'], records: number, bytes: number): Parcel<T> {
    const { key, request, response } = call
    const count = entries.length
    const others = (): Call[] => {
      const calls = key === undefined ? undefined : this.#sameKey.get(key)
      if (key !== undefined) this.#sameKey.delete(key)
      return calls ?? []
    }
    return {
      entries,
      bytes,
      isTaken: (taken) => {
        if (key !== undefined) this.#keys?.enter(key, taken === count ? ALL : records - count + taken)
      },
      isCommitted: () => {
        answer(response, 200, { records })
        for (const other of others()) answer(other.response, 200, { records, repeated: true })
      },
      isLost: () => {
        this.#turnAway(request, response, STOPPED)
        for (const other of others()) this.#turnAway(other.request, other.response, STOPPED)
      },
    }
  }

  #useRoom(): void {
    this.#decodeReceived()
    for (const body of this.#receiving) body.resume()
    for (const call of this.#waiting) {
      if (this.#intake.isFull) break
      this.#waiting.delete(call)
      this.#receive(call)
    }
  }

  #checkTimes(): void {
    const now = performance.now()
    const isCrowded = this.#waiting.size > 0 || this.#listener.isFull
    for (const body of [...this.#receiving]) {
      body.checkTime(now)
      if (isCrowded && body.isSlow(now, BYTES_PER_S_MIN)) body.refuse(SLOW)
    }
    this.#clearHalves(now)
    for (const call of this.#waiting) {
      if (now - call.since <= this.#settings.bodyTimeoutMs) break
      this.#waiting.delete(call)
      this.#turnAway(call.request, call.response, BUSY)
    }
    this.#ctx.gauge('buffered_bytes', this.#intake.bytes)
    this.#ctx.gauge('waiting_requests', this.#waiting.size)
  }

  /** Its connection may go when others need the place: it lingers only to take the answer. */
  #turnAway(request: IncomingMessage, response: ServerResponse, refusal: Refusal): void {
    this.#listener.idle(request.socket)
    turnAway(request, response, refusal)
  }

  /** The connection whose body has been coming for longest, when that is long. */
  #giveUpOldest(): Socket | undefined {
    for (const body of this.#receiving) {
      if (body.age(performance.now()) < HALF_BODY_MS) return undefined
      body.refuse(BUSY)
      return body.socket
    }
    return undefined
  }

  /**
   * When the buffer is full of half bodies and nothing in it waits for the flow, waiting does not help: the oldest bodies
   * are turned away until half of it is free.
   */
  #clearHalves(now: number): void {
    if (!this.#intake.isFull || this.#intake.lag() > 0 || this.#received.length > 0) return
    for (const body of [...this.#receiving]) {
      if (this.#intake.bytes <= this.#settings.buffer.bytes / 2 || body.age(now) < HALF_BODY_MS) break
      body.refuse(BUSY)
    }
  }
}

const UNSUPPORTED: Refusal = {
  status: 415,
  code: 'CONTENT_TYPE_UNKNOWN',
  message:
    'the content type must be application/json (a record, or an array of them) or application/x-ndjson (a record per line).',
}

const BUSY: Refusal = {
  status: 503,
  code: 'BUFFER_FULL',
  message: 'the flow is behind and its buffer is full. Nothing of this request was taken; send it again later.',
}

const STOPPED: Refusal = {
  status: 503,
  code: 'FLOW_STOPPED',
  message: 'the flow stops, and this request is not committed. Send it again when it runs.',
}

const SLOW: Refusal = {
  status: 408,
  code: 'BODY_SLOW',
  message: `the body comes with less than ${BYTES_PER_S_MIN} bytes a second while others wait. Nothing of it was taken.`,
}

function formatOf(request: IncomingMessage): BodyFormat | undefined {
  const type = (request.headers['content-type'] ?? '').split(';', 1)[0].trim().toLowerCase()
  if (type === 'application/json') return 'json'
  return ['application/x-ndjson', 'application/ndjson', 'application/jsonl', 'application/x-jsonlines'].includes(type)
    ? 'ndjson'
    : undefined
}

function refused(records: number, problems: readonly Problem[]): unknown {
  return {
    error: {
      code: 'RECORDS_REFUSED',
      message: `${problems.length} of ${records} records cannot be used. Nothing of this request was taken; mend or remove them and send it again.`,
      refused: problems.length,
      problems: problems.slice(0, PROBLEMS_MAX),
    },
  }
}
