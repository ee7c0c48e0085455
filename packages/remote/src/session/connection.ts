/**
 * What a node and a client have in common: a session with the gateway that is opened again when it breaks.
 *
 * Invariants:
 *  C1  At most one session at a time. `onLost` is called once for each that was welcome.
 *  C2  After `close` nothing is opened, and what was being opened is closed.
 *  C3  What the gateway refuses for good (token, rights, another node of the same id) is not tried again.
 */
import type { Link, LinkClosed } from '../link/link.ts'
import { decodeJson, encodeJson } from '../protocol/codec.ts'
import { FRAME, type Frame } from '../protocol/frame.ts'
import { type Hello, parseWelcome, type Welcome } from '../protocol/messages.ts'
import { fromPlainError, RemoteError } from '../remote-error.ts'
import type { Time } from '../time.ts'
import { Session } from './session.ts'

export interface ConnectionOptions {
  readonly address: string
  readonly time: Time
  /** Bytes that wait for the gateway, before the link is given up. */
  readonly bufferBytesMax: number
  connect(): Promise<Link>
  hello(): Hello
  onWelcome(session: Session, welcome: Welcome): void
  onFrame(frame: Frame): void
  onLost(error: RemoteError): void
  /** The connection will not come back: refused, or closed. */
  onEnded?(error: RemoteError): void
  log?(level: 'info' | 'warn' | 'error', message: string): void
}

const WELCOME_MS = 5_000
/** Waits between attempts: doubled from the first to the longest, each by chance half to all of it. */
const BACKOFF_FIRST_MS = 100
const BACKOFF_MAX_MS = 2_000
/** A session that lasted this long was no failure: the next wait is the first again. */
const LASTED_MS = 5_000

const FOR_GOOD: readonly string[] = [
  'UNAUTHENTICATED',
  'PERMISSION_DENIED',
  'FENCED',
  'INVALID_ARGUMENT',
  'PROTOCOL_ERROR',
]

export class Connection {
  readonly #options: ConnectionOptions
  #session: Session | undefined
  #isWelcome = false
  /** Not yet welcome. */
  #opening: Session | undefined
  #opened: Promise<void> | undefined
  #welcomeAtMs = 0
  #ended: RemoteError | undefined
  #failures = 0
  #cancelRetry = (): void => {}
  #waiting: { resolve(session: Session): void; reject(error: RemoteError): void }[] = []
  /** Set while the link closes because the gateway said why. */
  #reason: RemoteError | undefined
  /** When the present session began, after an earlier one; undefined for the first. */
  reconnectedAtMs: number | undefined
  #hasBeenOpen = false

  constructor(options: ConnectionOptions) {
    this.#options = options
  }

  /** The open session, if there is one. */
  get session(): Session | undefined {
    return this.#isWelcome ? this.#session : undefined
  }

  get ended(): RemoteError | undefined {
    return this.#ended
  }

  /** One attempt, unless there is a session. @throws RemoteError `GATEWAY_UNREACHABLE`, or what the gateway refuses with */
  open(): Promise<void> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended)
    if (this.#isWelcome) return Promise.resolve()
    this.#opened ??= this.#openNow().finally(() => {
      this.#opened = undefined
    })
    return this.#opened
  }

  async #openNow(): Promise<void> {
    const { address, time, bufferBytesMax } = this.#options
    const link = await this.#options.connect()
    if (this.#ended !== undefined) {
      link.destroy()
      throw this.#ended
    }
    await new Promise<void>((resolve, reject) => {
      let failed: RemoteError | undefined
      const cancelWelcome = time.after(WELCOME_MS, () => {
        failed = new RemoteError(
          'GATEWAY_UNREACHABLE',
          `what listens at ${address} did not answer like a gateway within ${WELCOME_MS} ms.`,
        )
        session.close()
      })
      let isWelcome = false
      const session = new Session({
        link,
        time,
        // Until the gateway says what it wants.
        pingMs: WELCOME_MS,
        silentMs: WELCOME_MS * 2,
        bufferBytesMax,
        onFrame: (frame) => {
          if (frame.call === 0 && frame.type === FRAME.ERROR) {
            const error = fromPlainError(decodeJson(frame.body))
            if (isWelcome) this.#reason = error
            else failed = error
          } else if (!isWelcome && frame.type === FRAME.WELCOME) {
            cancelWelcome()
            const welcome = parseWelcome(decodeJson(frame.body))
            isWelcome = true
            this.#opening = undefined
            session.setPing(welcome.pingMs, welcome.silentMs)
            this.#welcome(session, welcome)
            resolve()
          } else this.#options.onFrame(frame)
        },
        onClose: (closed) => {
          cancelWelcome()
          if (isWelcome) this.#lost(closed)
          else {
            this.#opening = undefined
            reject(this.#ended ?? failed ?? unreachable(address, closed))
          }
        },
      })
      this.#opening = session
      session.start()
      session.send(FRAME.HELLO, 0, encodeJson(this.#options.hello()))
    })
  }

  /** Attempts until it succeeds or is refused for good; failures are logged, the wait between them grows. */
  keepOpening(): void {
    if (this.#ended !== undefined) return
    this.open().catch((thrown: unknown) => {
      const error = thrown instanceof RemoteError ? thrown : unreachable(this.#options.address, thrown)
      if (FOR_GOOD.includes(error.code)) {
        this.#end(error)
        return
      }
      if (this.#ended !== undefined) return
      if (this.#failures === 0) this.#options.log?.('warn', `${error.message} Trying again.`)
      this.#openLater()
    })
  }

  #openLater(): void {
    const { time } = this.#options
    const most = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.min(this.#failures++, 16))
    this.#cancelRetry()
    this.#cancelRetry = time.after(most * (0.5 + time.random() / 2), () => this.keepOpening())
  }

  /** Resolves with an open session. @throws RemoteError when there is none within `withinMs` */
  ready(withinMs: number): Promise<Session> {
    if (this.session !== undefined) return Promise.resolve(this.session)
    if (this.#ended !== undefined) return Promise.reject(this.#ended)
    return new Promise((resolve, reject) => {
      const entry = {
        resolve: (session: Session): void => {
          cancel()
          resolve(session)
        },
        reject: (error: RemoteError): void => {
          cancel()
          reject(error)
        },
      }
      const cancel = this.#options.time.after(withinMs, () => {
        this.#waiting = this.#waiting.filter((each) => each !== entry)
        reject(
          new RemoteError(
            'GATEWAY_UNREACHABLE',
            `there has been no gateway at ${this.#options.address} for ${withinMs} ms. Is \`millrace gateway\` running there, is the port its own, does a firewall stand between?`,
            { retryable: true, data: { url: this.#options.address } },
          ),
        )
      })
      this.#waiting.push(entry)
    })
  }

  close(reason = 'closed'): void {
    if (this.#ended !== undefined) return
    const session = this.#session ?? this.#opening
    this.#end(new RemoteError('CANCELLED', `the connection to ${this.#options.address} was ${reason} here.`))
    session?.close()
  }

  #welcome(session: Session, welcome: Welcome): void {
    this.#session = session
    this.#isWelcome = true
    this.#reason = undefined
    this.#welcomeAtMs = this.#options.time.now()
    if (this.#hasBeenOpen) this.reconnectedAtMs = this.#welcomeAtMs
    this.#hasBeenOpen = true
    this.#options.onWelcome(session, welcome)
    for (const { resolve } of this.#waiting.splice(0)) resolve(session)
  }

  #lost({ code, reason }: LinkClosed): void {
    const why = this.#reason
    this.#session = undefined
    this.#isWelcome = false
    const error =
      this.#ended ??
      why ??
      new RemoteError(
        'CONNECTION_LOST',
        `the link to the gateway at ${this.#options.address} broke: ${reason || `code ${code}`}.`,
        {
          retryable: true,
        },
      )
    this.#options.onLost(error)
    if (this.#ended !== undefined) return
    if (why !== undefined && why.code === 'FENCED') this.#end(why)
    else {
      this.#options.log?.('warn', `${error.message} Connecting again.`)
      // Not at once: the gateway closed it for a reason that may stand, and all its peers come back together.
      if (this.#options.time.now() - this.#welcomeAtMs >= LASTED_MS) this.#failures = 0
      this.#openLater()
    }
  }

  #end(error: RemoteError): void {
    this.#ended = error
    this.#cancelRetry()
    for (const { reject } of this.#waiting.splice(0)) reject(error)
    this.#options.onEnded?.(error)
  }
}

function unreachable(address: string, cause: unknown): RemoteError {
  const why = cause instanceof Error ? cause.message : (cause as LinkClosed).reason || 'it closed the link'
  return new RemoteError('GATEWAY_UNREACHABLE', `there is no gateway at ${address}: ${why}.`, {
    retryable: true,
    cause,
  })
}
