/**
 * Server-sent events, line by line.
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 */

export interface ServerSentEvent {
  readonly data: string
  readonly event: string
  /** Of this event, or the last one before it that had one. */
  readonly id: string | undefined
}

export class EventLines {
  readonly #bytesMax: number
  #data: string[] = []
  #bytes = 0
  #event = ''
  #id: string | undefined
  /** What the server asks clients to wait before they connect again. */
  retryMs: number | undefined

  /** An event whose lines have more bytes together is cut off there: it will not be JSON any more, and be rejected. */
  constructor(bytesMax: number, id: string | undefined) {
    this.#bytesMax = bytesMax
    this.#id = id
  }

  /** The event that this line ends, if it does. */
  line(text: string): ServerSentEvent | undefined {
    if (text === '') return this.#end()
    const colon = text.indexOf(':')
    if (colon === 0) return undefined
    const field = colon === -1 ? text : text.slice(0, colon)
    const rest = colon === -1 ? '' : text.slice(colon + 1)
    const value = rest.startsWith(' ') ? rest.slice(1) : rest
    if (field === 'data') {
      this.#bytes += value.length + 1
      if (this.#bytes <= this.#bytesMax) this.#data.push(value)
    } else if (field === 'event') this.#event = value
    else if (field === 'id' && !value.includes('\0')) this.#id = value
    else if (field === 'retry' && /^\d+$/.test(value)) this.retryMs = Number(value)
    return undefined
  }

  /** Forgets an event that has begun: its end was in a connection that is gone. */
  reset(): void {
    this.#data = []
    this.#bytes = 0
    this.#event = ''
  }

  #end(): ServerSentEvent | undefined {
    const event = { data: this.#data.join('\n'), event: this.#event === '' ? 'message' : this.#event, id: this.#id }
    const isEmpty = this.#data.length === 0
    this.reset()
    return isEmpty ? undefined : event
  }
}
