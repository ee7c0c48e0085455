/**
 * The reader of a TCP source: takes bytes of any number of connections, and gives their records when the flow asks.
 *
 * Invariants:
 *  I1  Bytes become records only in `read`, so what waits here is counted in bytes. Together connections hold at most
 *      `bufferBytes` and a chunk of the system: at `bufferBytes` nobody is read. Node's streams read one chunk ahead for
 *      each connection (64 KiB at most), as the system itself does.
 *  I2  A connection with whole records waiting is not read, so that one fast peer cannot fill the buffer for the others;
 *      they take turns.
 *  I3  When unfinished records alone fill the buffer, the largest of them costs its peer the connection: nobody waits
 *      for a record that may never end.
 *  I4  A position counts the records of all connections; the same order leads from a committed position back to them.
 */
import type { Socket } from 'node:net'
import type { Position, SourceBatch, SourceContext, SourceReader } from 'millrace/connector'
import type { Decoded } from '../file/decoder.ts'
import { Connection } from './connection.ts'
import type { SocketFormat } from './format.ts'

export interface IntakeSettings<T> {
  readonly partition: string
  readonly format: SocketFormat<T>
  readonly bufferBytes: number
  /** Tell each peer how many of its records are committed. */
  readonly isAcknowledging: boolean
  /** Undefined: never. */
  readonly idleMs: number | undefined
}

/** A reader with nothing to give says so after this long. */
const WAIT_MS = 500

export class SocketIntake<T> implements SourceReader<T> {
  readonly #settings: IntakeSettings<T>
  readonly #ctx: SourceContext
  readonly #stop: () => Promise<void>
  readonly #connections = new Set<Connection<T>>()
  /** Connections to read from, in turn. */
  readonly #due = new Set<Connection<T>>()
  #heldBytes = 0
  #isFull = false
  /** Records read, over all connections and runs. */
  #position: number
  /** What commits will acknowledge: up to `position`, a connection has had `records` read. */
  #unacknowledged: { position: number; connection: Connection<T>; records: number }[] = []
  #wake: (() => void) | undefined
  #tick: Promise<void> | undefined
  #failure: unknown
  #hasEnded = false
  #isClosed = false

  /** @param stop stops what gives connections; called once */
  constructor(
    settings: IntakeSettings<T>,
    position: Position | undefined,
    ctx: SourceContext,
    stop: () => Promise<void>,
  ) {
    this.#settings = settings
    this.#ctx = ctx
    this.#stop = stop
    this.#position = typeof position === 'number' ? position : 0
  }

  get connections(): number {
    return this.#connections.size
  }

  /** Takes over a socket. Resolves when the connection is gone; true when the peer ended it in order. */
  add(socket: Socket): Promise<boolean> {
    const peer = `${socket.remoteAddress}:${socket.remotePort}`
    const { partition, format, idleMs } = this.#settings
    const connection = new Connection<T>(socket, peer, format, (code, message, at, raw) => {
      this.#ctx.reject({ code, message, partition, at, raw })
    })
    this.#connections.add(connection)
    this.#ctx.gauge('connections', this.#connections.size)
    socket.on('data', (chunk) => this.#take(connection, chunk))
    socket.on('end', () => this.#end(connection))
    socket.on('error', (error: NodeJS.ErrnoException) => {
      connection.failure ??= error.code ?? error.message
    })
    if (idleMs !== undefined) {
      socket.setTimeout(idleMs)
      socket.on('timeout', () => this.#idle(connection, idleMs))
    }
    if (this.#isFull) socket.pause()
    return new Promise((resolve) => {
      socket.on('close', () => {
        this.#end(connection)
        resolve(connection.failure === undefined)
      })
    })
  }

  /** No more connections come: the source ends with those there are. */
  end(): void {
    this.#hasEnded = true
    this.#ring()
  }

  /** The next `read` throws this. */
  fail(error: unknown): void {
    this.#failure = error
    this.#ring()
  }

  read(maxRows: number): Promise<SourceBatch<T> | 'end'> | SourceBatch<T> | 'end' {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#due.size > 0) return this.#batch(maxRows)
    if (this.#hasEnded && this.#connections.size === 0) return 'end'
    return this.#wait(maxRows)
  }

  committed(position: Position): void {
    if (!this.#settings.isAcknowledging) return
    let count = 0
    const changed = new Set<Connection<T>>()
    for (const entry of this.#unacknowledged) {
      if (entry.position > (position as number)) break
      entry.connection.committed = entry.records
      changed.add(entry.connection)
      count++
    }
    this.#unacknowledged = this.#unacknowledged.slice(count)
    for (const connection of changed) this.#tell(connection)
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const { socket } of this.#connections) socket.destroy()
    this.#ring()
    await this.#stop()
  }

  #take(connection: Connection<T>, chunk: Buffer): void {
    if (this.#isClosed || connection.hasEnded) return
    this.#holding(connection, () => connection.take(chunk))
    this.#ctx.gauge('buffer_bytes', this.#heldBytes)
    if (connection.isDue) {
      connection.socket.pause()
      this.#due.add(connection)
      this.#ring()
    }
    if (this.#heldBytes < this.#settings.bufferBytes || this.#isFull) return
    this.#isFull = true
    for (const { socket } of this.#connections) socket.pause()
    this.#relieve()
  }

  #end(connection: Connection<T>): void {
    if (connection.hasEnded || this.#isClosed) return
    connection.hasEnded = true
    connection.isDue = true
    this.#due.add(connection)
    this.#ring()
  }

  async #wait(maxRows: number): Promise<SourceBatch<T> | 'end'> {
    // One wait of the runtime at a time: bytes may come a thousand times while it lasts.
    this.#tick ??= this.#ctx.wait(WAIT_MS).then(() => {
      this.#tick = undefined
    })
    await Promise.race([this.#tick, new Promise<void>((resolve) => (this.#wake = resolve))])
    if (this.#isClosed) return 'end'
    if (this.#failure !== undefined) throw this.#failure
    return this.#hasEnded && this.#due.size === 0 && this.#connections.size === 0 ? 'end' : this.#batch(maxRows)
  }

  #batch(maxRows: number): SourceBatch<T> {
    const out: Decoded<T> = { rows: [], at: [] }
    const peers: Connection<T>[] = []
    for (const connection of this.#due) {
      if (out.rows.length === maxRows) break
      this.#due.delete(connection)
      this.#decode(connection, maxRows, out)
      while (peers.length < out.rows.length) peers.push(connection)
    }
    return {
      rows: out.rows,
      next: this.#position,
      caughtUp: this.#due.size === 0,
      at: (i) => peers[i].place(out.at[i]),
    }
  }

  #decode(connection: Connection<T>, maxRows: number, out: Decoded<T>): void {
    const before = connection.records
    this.#holding(connection, () => connection.decode(maxRows, out))
    const records = connection.records - before
    this.#position += records
    if (records > 0 && this.#settings.isAcknowledging) {
      this.#unacknowledged.push({ position: this.#position, connection, records: connection.records })
    }
    if (connection.isDue) this.#due.add(connection)
    else if (connection.hasEnded) this.#finish(connection)
    else if (!this.#isFull) connection.socket.resume()
    this.#relieve()
    this.#ctx.gauge('buffer_bytes', this.#heldBytes)
  }

  /** Reads again when there is room, and makes room when nobody else will. */
  #relieve(): void {
    if (!this.#isFull) return
    const { bufferBytes } = this.#settings
    if (this.#due.size === 0 && this.#heldBytes >= bufferBytes) this.#closeLargest()
    if (this.#heldBytes > bufferBytes / 2 && this.#due.size > 0) return
    this.#isFull = false
    for (const connection of this.#connections) if (!connection.isDue) connection.socket.resume()
  }

  #closeLargest(): void {
    let largest: Connection<T> | undefined
    for (const one of this.#connections) {
      if (!one.hasEnded && one.heldBytes > (largest?.heldBytes ?? 0)) largest = one
    }
    if (largest === undefined) return
    const { peer, heldBytes } = largest
    this.#ctx.log(
      'warn',
      `closed the connection of ${peer}: unfinished records fill the buffer and its is the largest`,
      {
        peer,
        heldBytes,
      },
    )
    largest.failure = 'unfinished records filled the buffer'
    largest.socket.destroy()
    this.#end(largest)
  }

  /** Everything of an ended connection was read. */
  #finish(connection: Connection<T>): void {
    this.#holding(connection, () => connection.finish())
    const { socket } = connection
    if (socket.destroyed) this.#forget(connection)
    else if (!this.#settings.isAcknowledging || connection.told === connection.records)
      socket.end(() => this.#forget(connection))
  }

  #forget(connection: Connection<T>): void {
    connection.socket.destroy()
    this.#connections.delete(connection)
    this.#ctx.gauge('connections', this.#connections.size)
    if (this.#hasEnded) this.#ring()
  }

  /** Tells a peer how far it is committed, once it has taken what it was told before. */
  #tell(connection: Connection<T>): void {
    const { socket, committed, told } = connection
    if (committed === told) return
    if (socket.destroyed || !socket.writable) {
      if (connection.hasEnded) this.#forget(connection)
      return
    }
    if (socket.writableLength > 0) return
    connection.told = committed
    socket.write(`${committed}\n`, () => this.#tell(connection))
    if (connection.hasEnded && !connection.isDue && committed === connection.records) {
      socket.end(() => this.#forget(connection))
    }
  }

  #idle(connection: Connection<T>, idleMs: number): void {
    const { socket, peer } = connection
    // We are who is slow.
    if (socket.isPaused() || connection.isDue || (connection.hasEnded && connection.told < connection.records)) {
      socket.setTimeout(idleMs)
      return
    }
    this.#ctx.log('info', `closed the connection of ${peer}: nothing came for ${idleMs} ms`, { peer })
    connection.failure ??= `nothing came for ${idleMs} ms`
    socket.destroy()
  }

  #holding(connection: Connection<T>, change: () => void): void {
    this.#heldBytes -= connection.heldBytes
    change()
    this.#heldBytes += connection.heldBytes
  }

  #ring(): void {
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }
}
