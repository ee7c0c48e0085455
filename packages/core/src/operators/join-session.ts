/**
 * Join in session windows: rows of both inputs with one key form sessions together, and a session fires when the
 * watermark reaches its end.
 *
 * Invariants:
 *  SE1 The sessions of a key are disjoint and in order of time; a row that lies between two of them makes them one.
 *  SE2 Every open session's end lies in a bucket of `ends` that lists its key. A listed key may have no session there.
 */
import type { Batch } from '../batch/batch.ts'
import type { CanonicalKey } from '../batch/key.ts'
import type { Operator, OperatorContext } from '../graph/operator.ts'
import type { Table } from '../state/table.ts'
import type { SessionWindow } from '../window/types.ts'
import { addRow, RETRACTED, type TimeBuffer, timeBuffer } from './join-buffer.ts'
import { emitJoined } from './join-emit.ts'
import { emitLate, keysOf, lateBefore, refuseRetractions, weightAt } from './join-input.ts'
import type { JoinType } from './join-types.ts'

interface Session {
  start: number
  end: number
  readonly sides: readonly [TimeBuffer, TimeBuffer]
}

/** Buckets per gap: more are scanned less often in vain, and cost more entries. */
const bucketsPerGap = 32

export class SessionJoin implements Operator {
  readonly #ctx: OperatorContext
  readonly #type: JoinType
  readonly #gapMs: number
  readonly #mergesTouching: boolean
  readonly #bucketMs: number
  readonly #sessions: Table<Session[]>
  readonly #ends: Table<true>
  #rowCount = 0

  constructor(ctx: OperatorContext, type: JoinType, window: SessionWindow) {
    this.#ctx = ctx
    this.#type = type
    this.#gapMs = window.gapMs
    this.#mergesTouching = window.merge === 'touching'
    this.#bucketMs = Math.max(1, Math.ceil(window.gapMs / bucketsPerGap))
    this.#sessions = ctx.state.table('sessions')
    this.#ends = ctx.state.table('ends', { major: 'sub' })
    this.#sessions.forEach((_key, _sub, sessions) => {
      for (const session of sessions) this.#rowCount += rowCount(session)
    })
  }

  process(batch: Batch, input: number): void {
    const ctx = this.#ctx
    if (this.#type !== 'inner') refuseRetractions(batch, ctx, 'a left or outer join')
    const keys = keysOf(batch, ctx)
    const floor = lateBefore(ctx, input)
    for (let i = 0; i < batch.length; i++) {
      const time = batch.times[i]
      const sessions = this.#sessions.get(keys[i]) ?? []
      const session = this.#open(sessions, time, floor)
      if (session === undefined) {
        emitLate(ctx, batch, i)
        continue
      }
      addRow(session.sides[input], time, batch.keep(i), weightAt(batch, i) === -1 ? RETRACTED : 0)
      this.#sessions.set(keys[i], sessions)
      const bucket = Math.floor(session.end / this.#bucketMs)
      if (!this.#ends.has(keys[i], bucket)) this.#ends.set(keys[i], true, bucket)
      this.#rowCount++
    }
  }

  watermark(time: number): void {
    const due: number[] = []
    for (const bucket of this.#ends.outers() as Iterable<number>) if (bucket * this.#bucketMs <= time) due.push(bucket)
    due.sort((a, b) => a - b)
    for (const bucket of due) {
      const keys = [...(this.#ends.group(bucket)?.keys() ?? [])]
      for (const key of keys) {
        this.#fire(key, time)
        if (!this.#endsIn(key, bucket)) this.#ends.delete(key, bucket)
      }
    }
  }

  /** Results carry the time `end - 1`; a watermark between that and `end`, fractional both, must not overtake them. */
  hold(): number {
    return this.#ctx.currentWatermark() - 1
  }

  held(): number {
    return this.#rowCount
  }

  /** The session a row at `time` belongs to, made or merged in `sessions`; undefined when it would have fired. */
  #open(sessions: Session[], time: number, floor: number): Session | undefined {
    const end = time + this.#gapMs
    let from = 0
    while (from < sessions.length && !this.#meets(sessions[from].end, time)) from++
    let to = from
    while (to < sessions.length && this.#meets(end, sessions[to].start)) to++
    if (from === to) {
      if (this.#isOver(end, floor)) return undefined
      const session: Session = { start: time, end, sides: [timeBuffer(), timeBuffer()] }
      sessions.splice(from, 0, session)
      return session
    }
    const session = sessions[from]
    for (const other of sessions.splice(from + 1, to - from - 1)) {
      session.end = other.end
      for (const input of [0, 1]) append(session.sides[input], other.sides[input])
    }
    session.start = Math.min(session.start, time)
    session.end = Math.max(session.end, end)
    return session
  }

  #meets(end: number, start: number): boolean {
    return end > start || (this.#mergesTouching && end === start)
  }

  /** Nothing can be added any more. Where touching sessions are one, a row exactly at the end still could. */
  #isOver(end: number, watermark: number): boolean {
    return this.#mergesTouching ? end < watermark : end <= watermark
  }

  #fire(key: CanonicalKey, time: number): void {
    const sessions = this.#sessions.get(key)
    if (sessions === undefined || !this.#isOver(sessions[0].end, time)) return
    const open = sessions.filter((session) => !this.#isOver(session.end, time))
    for (const session of sessions) {
      if (!this.#isOver(session.end, time)) continue
      const [left, right] = session.sides
      const window = { start: session.start, end: session.end }
      emitJoined(this.#ctx.out, this.#type, key, present(left), present(right), window)
      this.#rowCount -= rowCount(session)
      this.#ctx.metrics.merged(rowCount(session))
    }
    if (open.length === 0) this.#sessions.delete(key)
    else this.#sessions.set(key, open)
  }

  #endsIn(key: CanonicalKey, bucket: number): boolean {
    const sessions = this.#sessions.get(key)
    return sessions !== undefined && sessions.some((s) => Math.floor(s.end / this.#bucketMs) === bucket)
  }
}

function append(into: TimeBuffer, from: TimeBuffer): void {
  for (let i = 0; i < from.times.length; i++) addRow(into, from.times[i], from.rows[i], from.flags[i])
}

function present(buffer: TimeBuffer): TimeBuffer | undefined {
  return buffer.rows.length === 0 ? undefined : buffer
}

function rowCount(session: Session): number {
  return session.sides[0].rows.length + session.sides[1].rows.length
}
