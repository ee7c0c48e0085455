/** One direction of one stream of a route, as the gateway counts it: what was granted, and how long the present body is. */
import { FRAME, type Frame } from '../protocol/frame.ts'

export class Flow {
  #items: number
  #bytes: number
  #bodyBytes = 0

  constructor(items: number, bytes: number) {
    this.#items = items
    this.#bytes = bytes
  }

  /** What may still be sent, for whoever takes the route over. */
  get credit(): { readonly items: number; readonly bytes: number } {
    return { items: Math.max(0, this.#items), bytes: Math.max(0, this.#bytes) }
  }

  grant(items: number, bytes: number): void {
    // Nobody needs more; and sums stay exact.
    this.#items = Math.min(this.#items + items, Number.MAX_SAFE_INTEGER)
    this.#bytes = Math.min(this.#bytes + bytes, Number.MAX_SAFE_INTEGER)
  }

  /** False: the sender had not been granted that. Bytes may be exceeded by one piece, items never. */
  spend(frame: Frame): boolean {
    const hadBytes = this.#bytes > 0
    this.#items -= frame.count
    this.#bytes -= frame.body.length
    return this.#items >= 0 && hadBytes
  }

  /** Bytes of the body that this frame belongs to, so far. */
  measure(frame: Frame): number {
    this.#bodyBytes = frame.type === FRAME.PART ? this.#bodyBytes + frame.body.length : frame.body.length
    return this.#bodyBytes
  }
}
