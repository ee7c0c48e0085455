/**
 * Draws a run on stderr from its event stream: in place on a terminal, line by line elsewhere, as JSON lines on stdout
 * with --json. Lines that must stay (warnings, restarts) go above the picture, into the scrollback.
 */
import { createLogUpdate } from 'log-update'
import type { ObserveMessage, Observer } from 'millrace/observe'
import stringWidth from 'string-width'
import type { Io } from '../io.ts'
import { ChangeLines } from './changes.ts'
import { liveLines } from './live.ts'
import { type Ending, reportLines } from './report.ts'
import { type ColorMode, plain, styleFor, widthOf } from './style.ts'
import { RunView } from './view.ts'

/** The picture is drawn this often; ages and rates move, nothing flickers. */
const DRAW_MS = 250

export interface ProgressOptions {
  readonly color: ColorMode
  readonly isJson: boolean
  readonly isQuiet: boolean
  readonly hint: string
}

export class Progress {
  readonly view = new RunView()
  readonly #io: Io
  readonly #options: ProgressOptions
  readonly #style
  readonly #changes: ChangeLines
  readonly #log: ReturnType<typeof createLogUpdate> | undefined
  #timer: NodeJS.Timeout | undefined
  #leave: () => void = () => {}
  #drawn: readonly string[] = []
  #hint: string

  constructor(io: Io, options: ProgressOptions) {
    this.#io = io
    this.#options = options
    this.#hint = options.hint
    this.#style = styleFor(io.stderr, io.env, options.color)
    this.#changes = new ChangeLines(this.view, this.#style)
    const isLive = this.#style.hasMotion && !options.isJson && !options.isQuiet
    this.#log = isLive ? createLogUpdate(io.stderr, { showCursor: true }) : undefined
  }

  start(observer: Observer): void {
    this.#leave = observer.listen((message) => this.#take(message))
    if (this.#log === undefined) return
    this.#timer = setInterval(() => this.#draw(), DRAW_MS)
    this.#io.stderr.on('resize', this.#onResize)
  }

  /** A line that stays. */
  say(text: string): void {
    if (this.#options.isJson) return
    if (this.#log === undefined) this.#io.stderr.write(`${text}\n`)
    else this.#log.persist(text)
  }

  /** Is the picture drawn in place? */
  get isLive(): boolean {
    return this.#log !== undefined
  }

  set hint(text: string) {
    this.#hint = text
    this.#draw()
  }

  /** Takes the picture away and says how it ended. */
  end(ending: Ending): void {
    this.stop()
    if (this.#options.isJson) return
    const width = this.#io.stderr.isTTY === true ? widthOf(this.#io.stderr, this.#io.env) : Number.POSITIVE_INFINITY
    for (const line of reportLines(this.view, ending, width, this.#style)) this.#io.stderr.write(`${line}\n`)
  }

  /** Takes the picture away. */
  stop(): void {
    clearInterval(this.#timer)
    this.#io.stderr.off('resize', this.#onResize)
    this.#leave()
    this.#log?.clear()
    this.#log?.done()
  }

  #take(message: ObserveMessage): void {
    this.view.update(message)
    if (this.#options.isJson) {
      this.#io.stdout.write(`${JSON.stringify(message)}\n`)
      return
    }
    if (this.#options.isQuiet) {
      if (message.type === 'log' && message.severity !== 'info')
        for (const line of this.#changes.of(message)) this.say(line)
      return
    }
    const lines = this.#log === undefined ? this.#changes.withHeartbeat(message) : this.#staying(message)
    for (const line of lines) this.say(line)
  }

  /** On a terminal the picture shows the state; only what a person must not miss stays in the scrollback. */
  #staying(message: ObserveMessage): string[] {
    const matters =
      (message.type === 'log' && message.severity !== 'info') ||
      (message.type === 'change' && message.kind === 'restart')
    return matters ? this.#changes.of(message) : []
  }

  #draw(): void {
    const { stderr, env } = this.#io
    if (this.#log === undefined || this.view.plan === undefined) return
    const width = widthOf(stderr, env) - 1
    const frame = { width, height: stderr.rows ?? 24, now: Date.now(), style: this.#style, hint: plain(this.#hint) }
    this.#drawn = liveLines(this.view, frame)
    this.#log(this.#drawn.join('\n'))
  }

  /** The terminal has wrapped the old picture to its new width; it takes more lines than were drawn. */
  readonly #onResize = (): void => {
    if (this.#log === undefined) return
    const width = widthOf(this.#io.stderr, this.#io.env)
    const lines = this.#drawn.reduce((n, line) => n + Math.max(1, Math.ceil(stringWidth(line) / width)), 0)
    this.#log.done()
    if (lines > 0) this.#io.stderr.write(`\u001b[${lines}A\r\u001b[J`)
    this.#draw()
  }
}
