/**
 * A source over a Parquet file: one partition, read a row group at a time. The position is the row number, so a restart
 * goes on with exactly the next row.
 */
import { zstdDecompressSync } from 'node:zlib'
import {
  type AsyncBuffer,
  asyncBufferFromFile,
  type FileMetaData,
  parquetMetadataAsync,
  parquetReadObjects,
} from 'hyparquet'
import { OperationalError, type Source, type SourceBatch, type SourceReader } from 'millrace/connector'

export interface ParquetOptions<T> {
  readonly path: string
  readonly columns: readonly string[]
  /** Ends after so many rows. Default: all. */
  readonly limit?: number
  /** Makes a record of a row; called once per row. */
  readonly row: (columns: Readonly<Record<string, unknown>>) => T
}

/** Decompression comes with Node; the other codecs of Parquet are not needed here. */
const compressors = {
  ZSTD: (input: Uint8Array, length: number) => zstdDecompressSync(input, { maxOutputLength: length }),
}

export function parquet<T>(options: ParquetOptions<T>): Source<T> {
  return {
    kind: 'parquet',
    bounded: true,
    replayable: true,
    describe: () => ({ path: options.path.split('/').at(-1) }),
    partitions: () => ['rows'],
    async open(_, position): Promise<SourceReader<T>> {
      const file = await asyncBufferFromFile(options.path)
      const metadata = await parquetMetadataAsync(file)
      const rows = Math.min(Number(metadata.num_rows), options.limit ?? Number.POSITIVE_INFINITY)
      const start = position === undefined ? 0 : position
      if (typeof start !== 'number' || start > rows) {
        throw new OperationalError(
          'PARQUET_POSITION',
          `the state says that ${JSON.stringify(start)} rows were read, the file has ${rows}. Is it another file?`,
        )
      }
      return new ParquetReader(file, metadata, options, rows, start)
    },
  }
}

class ParquetReader<T> implements SourceReader<T> {
  readonly #file: AsyncBuffer
  readonly #metadata: FileMetaData
  readonly #options: ParquetOptions<T>
  readonly #rows: number
  #next: number
  /** The decoded rows from `#from` on. */
  #group: readonly Record<string, unknown>[] = []
  #from = 0

  constructor(file: AsyncBuffer, metadata: FileMetaData, options: ParquetOptions<T>, rows: number, next: number) {
    this.#file = file
    this.#metadata = metadata
    this.#options = options
    this.#rows = rows
    this.#next = next
  }

  read(maxRows: number): SourceBatch<T> | 'end' | Promise<SourceBatch<T> | 'end'> {
    if (this.#next >= this.#rows) return 'end'
    if (this.#next < this.#from + this.#group.length && this.#next >= this.#from) return this.#batch(maxRows)
    return this.#decode().then(() => this.#batch(maxRows))
  }

  lag(): number {
    return this.#rows - this.#next
  }

  progress(): number {
    return this.#next / this.#rows
  }

  close(): void {
    this.#group = []
  }

  #batch(maxRows: number): SourceBatch<T> {
    const start = this.#next - this.#from
    const end = start + Math.min(maxRows, this.#rows - this.#next)
    const rows = this.#group.slice(start, end).map(this.#options.row)
    const first = this.#next
    this.#next += rows.length
    return { rows, next: this.#next, caughtUp: this.#next === this.#rows, at: (i) => first + i }
  }

  /** Decodes the row group that holds the next row. */
  async #decode(): Promise<void> {
    let from = 0
    for (const group of this.#metadata.row_groups) {
      const to = from + Number(group.num_rows)
      if (this.#next < to) {
        this.#group = await parquetReadObjects({
          file: this.#file,
          metadata: this.#metadata,
          compressors,
          columns: [...this.#options.columns],
          rowStart: from,
          rowEnd: to,
        })
        this.#from = from
        return
      }
      from = to
    }
  }
}
