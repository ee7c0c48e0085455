/**
 * Content of one simulated file: what reads see, and what is known to be on the platter.
 *
 * Invariant: `#platter` is the content at the end of the last completed sync; `#unsynced` are the changes since.
 */
import type { SeededRandom } from './sim-random.ts'

type Change = { readonly append: Uint8Array } | { readonly truncate: number }

const sector = 512

export class SimInode {
  #platter: Uint8Array
  #bytes: Uint8Array
  #length: number
  #unsynced: Change[] = []

  constructor(durable: Uint8Array = new Uint8Array(0)) {
    this.#platter = durable
    this.#bytes = durable
    this.#length = durable.length
  }

  get length(): number {
    return this.#length
  }

  read(position: number, length: number): Uint8Array {
    return this.#bytes.slice(position, Math.min(this.#length, position + length))
  }

  append(bytes: Uint8Array): void {
    const copy = bytes.slice()
    const end = this.#length + copy.length
    // The platter's array is never written in place.
    if (end > this.#bytes.length || this.#bytes === this.#platter) {
      const grown = new Uint8Array(Math.max(end, this.#bytes.length * 2, 256))
      grown.set(this.#bytes.subarray(0, this.#length))
      this.#bytes = grown
    }
    this.#bytes.set(copy, this.#length)
    this.#length = end
    this.#unsynced.push({ append: copy })
  }

  /** A size beyond the end fills with zeros, as the system call does. */
  truncate(size: number): void {
    if (size > this.#length) this.append(new Uint8Array(size - this.#length))
    else if (size < this.#length) {
      this.#length = size
      this.#unsynced.push({ truncate: size })
    }
  }

  /** Starts a sync; what it returns ends it. Changes made in between are not covered. */
  startSync(): () => void {
    const covered = this.#unsynced.length
    const content = this.read(0, this.#length)
    return () => {
      // A sync that started later may have ended already and covered more.
      if (covered === 0 || covered > this.#unsynced.length) return
      this.#platter = content
      this.#unsynced.splice(0, covered)
    }
  }

  /** Content after the process died and the machine went on. */
  afterKill(): SimInode {
    const copy = new SimInode(this.#platter)
    for (const change of this.#unsynced) {
      if ('append' in change) copy.append(change.append)
      else copy.truncate(change.truncate)
    }
    return copy
  }

  /**
   * Content after power was lost. Of the changes not synced survives nothing, everything, a prefix whose last append is
   * cut at any byte, or an append whose sectors did not all reach the platter and read as zeros.
   */
  afterPowerLoss(random: SeededRandom): SimInode {
    const fate = this.#unsynced.length === 0 ? 0 : random.int(4)
    if (fate === 0) return new SimInode(this.#platter)
    if (fate === 1) return new SimInode(this.read(0, this.#length))
    let content = this.#platter
    const kept = random.between(1, this.#unsynced.length)
    for (let i = 0; i < kept; i++) {
      const change = this.#unsynced[i]
      if ('truncate' in change) content = content.slice(0, change.truncate)
      else {
        let appended = change.append
        if (i === kept - 1) {
          appended =
            fate === 2 ? appended.slice(0, random.between(0, appended.length)) : tear(appended, content.length, random)
        }
        content = concat(content, appended)
      }
    }
    return new SimInode(content)
  }

  /** The content with one bit of it changed, durable. */
  withFlippedBit(random: SeededRandom): SimInode {
    const content = this.read(0, this.#length)
    if (content.length > 0) content[random.int(content.length)] ^= 1 << random.int(8)
    return new SimInode(content)
  }
}

/** `bytes`, to be written at `position`, with some of the sectors they cover missing. */
function tear(bytes: Uint8Array, position: number, random: SeededRandom): Uint8Array {
  const torn = bytes.slice()
  for (let start = 0; start < torn.length; ) {
    const end = Math.min(torn.length, start + sector - ((position + start) % sector))
    if (random.chance(0.5)) torn.fill(0, start, end)
    start = end
  }
  return torn
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const out = new Uint8Array(a.length + b.length)
  out.set(a)
  out.set(b, a.length)
  return out
}
