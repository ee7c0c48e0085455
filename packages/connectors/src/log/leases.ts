/** Keeps the leases of this process's group members alive, from the writer thread: user code that blocks loses none. */
import type { Argument, MemberView, RequestName } from './protocol.ts'

/** Heartbeats per lease: two may be lost. */
const BEATS = 3

interface Kept {
  readonly group: string
  readonly leaseMs: number
  timer: NodeJS.Timeout
}

export class Leases {
  readonly #beat: (group: string, member: string) => Promise<MemberView>
  readonly #changed: (member: string, view: MemberView | undefined) => void
  readonly #kept = new Map<string, Kept>()

  constructor(
    beat: (group: string, member: string) => Promise<MemberView>,
    changed: (member: string, view: MemberView | undefined) => void,
  ) {
    this.#beat = beat
    this.#changed = changed
  }

  /** Looks at each answered request: who joined, who left. */
  noticed(name: RequestName, argument: unknown, result: unknown): void {
    if (name === 'join') {
      const { group, member, leaseMs } = argument as Argument<'join'>
      this.#forget(member)
      const view = result as MemberView
      this.#kept.set(member, { group, leaseMs, timer: setTimeout(() => {}, 0) })
      this.#schedule(member, view)
    } else if (name === 'leave') {
      this.#forget((argument as Argument<'leave'>).member)
    }
  }

  close(): void {
    for (const member of [...this.#kept.keys()]) this.#forget(member)
  }

  #forget(member: string): void {
    clearTimeout(this.#kept.get(member)?.timer)
    this.#kept.delete(member)
  }

  /** At the next beat, or just after the first lease of the group has ended: that is when its partitions are free. */
  #schedule(member: string, view: MemberView | undefined): void {
    const kept = this.#kept.get(member)
    if (kept === undefined) return
    clearTimeout(kept.timer)
    const beatMs = kept.leaseMs / BEATS
    const expiryMs = view === undefined ? beatMs : view.nextExpiry - Date.now() + 2
    kept.timer = setTimeout(() => void this.#run(member, kept), Math.max(5, Math.min(beatMs, expiryMs)))
  }

  async #run(member: string, kept: Kept): Promise<void> {
    let view: MemberView | undefined
    try {
      view = await this.#beat(kept.group, member)
    } catch (thrown) {
      if (this.#kept.get(member) !== kept) return
      if ((thrown as { code?: string }).code === 'LOG_MEMBER_UNKNOWN') {
        this.#forget(member)
        this.#changed(member, undefined)
        return
      }
    }
    if (this.#kept.get(member) !== kept) return
    if (view !== undefined) this.#changed(member, view)
    this.#schedule(member, view)
  }
}
