import {
  type Disk,
  OperationalError,
  type Position,
  type Sink,
  type SinkCommitter,
  type Source,
  type SourceBatch,
  type SourceContext,
  type SourceReader,
} from 'millrace/connector'

/** One text file of the folder. */
export interface Letter {
  readonly name: string
  readonly text: string
}

export interface LetterOptions {
  readonly folder: string
  /** Wait for further letters instead of ending. Default false. */
  readonly follow?: boolean
}

class LetterReader implements SourceReader<Letter> {
  readonly #options: LetterOptions
  readonly #ctx: SourceContext
  /** Name of the last letter that was given; the empty text sorts before all names. */
  #last: string
  #left: number | undefined

  constructor(options: LetterOptions, position: Position | undefined, ctx: SourceContext) {
    if (position !== undefined && typeof position !== 'string') {
      throw new OperationalError('LETTER_POSITION', `${JSON.stringify(position)} is no name of a letter.`)
    }
    this.#options = options
    this.#ctx = ctx
    this.#last = position ?? ''
  }

  async read(maxRows: number): Promise<SourceBatch<Letter> | 'end'> {
    const { folder, follow = false } = this.#options
    const names = (await this.#ctx.disk.list(folder)).filter((name) => name.endsWith('.txt') && name > this.#last)
    if (names.length === 0) {
      if (!follow) return 'end'
      await this.#ctx.wait(500)
    }
    const taken = names.slice(0, maxRows)
    const rows: Letter[] = []
    for (const name of taken) {
      const text = await this.#text(name)
      if (text !== undefined) rows.push({ name, text })
    }
    this.#last = taken.at(-1) ?? this.#last
    this.#left = names.length - taken.length
    return { rows, next: this.#last, caughtUp: this.#left === 0, at: (i) => rows[i].name }
  }

  lag(): number | undefined {
    return this.#left
  }

  close(): void {}

  async #text(name: string): Promise<string | undefined> {
    const { folder } = this.#options
    const bytes = (await this.#ctx.disk.read(`${folder}/${name}`)) ?? new Uint8Array(0)
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    } catch {
      const message = 'the letter is not valid UTF-8.'
      this.#ctx.reject({ code: 'LETTER_UTF8', message, partition: folder, at: name, raw: bytes.slice(0, 4096) })
      return undefined
    }
  }
}

/** Every `.txt` file of a folder is a record, in the order of the names. New letters must have later names. */
export function letterSource(options: LetterOptions): Source<Letter> {
  return {
    kind: 'letters',
    bounded: options.follow !== true,
    replayable: true,
    describe: () => ({ folder: options.folder }),
    partitions: () => [options.folder],
    open: (_partition, position, ctx) => new LetterReader(options, position, ctx),
  }
}

class PartCommitter implements SinkCommitter {
  readonly #folder: string
  readonly #disk: Disk

  constructor(folder: string, disk: Disk) {
    this.#folder = folder
    this.#disk = disk
  }

  async restore(state: Position | undefined): Promise<void> {
    const committed = countOf(state)
    const parts = (await this.#disk.list(this.#folder)).filter((name) => name.startsWith('part-'))
    const kept = parts.filter((name) => name <= partName(committed))
    if (kept.length < committed) {
      throw new OperationalError(
        'PARTS_MISSING',
        `${this.#folder} has ${kept.length} of the ${committed} parts that were committed. Put them back, or start without the old state.`,
      )
    }
    for (const name of parts) {
      if (!kept.includes(name)) await this.#disk.remove(`${this.#folder}/${name}`)
    }
  }

  after(state: Position | undefined, stagedBytes: number): Position {
    return countOf(state) + (stagedBytes > 0 ? 1 : 0)
  }

  async publish(from: Position | undefined, to: Position, staged: AsyncIterable<Uint8Array>): Promise<void> {
    if (countOf(from) === countOf(to)) return
    await this.#disk.makeFolder(this.#folder)
    const unfinished = `${this.#folder}/unfinished`
    const file = await this.#disk.open(unfinished, 'create')
    try {
      for await (const bytes of staged) await file.append(bytes)
      await file.sync()
    } finally {
      await file.close()
    }
    await this.#disk.rename(unfinished, `${this.#folder}/${partName(countOf(to))}`)
    await this.#disk.syncFolder(this.#folder)
  }

  close(): void {}
}

function countOf(state: Position | undefined): number {
  return typeof state === 'number' ? state : 0
}

function partName(part: number): string {
  return `part-${String(part).padStart(9, '0')}.txt`
}

/** Writes a file per commit, which appears whole or not at all. */
export function partSink<T>(folder: string, line: (row: T) => string): Sink<T> {
  return {
    kind: 'parts',
    guarantee: 'staged',
    describe: () => ({ folder }),
    open: () => ({
      write(batch) {
        let text = ''
        for (let i = 0; i < batch.length; i++) text += `${line(batch.row(i))}\n`
        return new TextEncoder().encode(text)
      },
      close() {},
    }),
    committer: (ctx) => new PartCommitter(folder, ctx.disk),
  }
}
