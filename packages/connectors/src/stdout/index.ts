/** Rows to the standard output: `@millrace/connectors/stdout`. */
import type { Writable } from 'node:stream'
import { type Batch, markedRow, messageOf, OperationalError, type Sink, type SinkWriter } from 'millrace/connector'

export interface StdoutOptions<T> {
  /** The line of a row, without its line break. Default: JSON, with bigint as decimal text. */
  readonly format?: (row: T) => string
  /** True: `format` shows the member `$weight: -1` of rows that are taken back. Default: such rows are refused. JSON shows it. */
  readonly takesChanges?: boolean
  /** Default: the standard output of the process. */
  readonly stream?: Writable
}

/**
 * Writes a line per row to the standard output. At-least-once: what was printed stays printed, so after a crash the rows
 * behind the last commit are printed again. A reader that is slower than the flow slows the flow down.
 * @throws OperationalError while running: `STDOUT_CLOSED` when the reader has gone away (`| head`)
 * @example stdout().guarantee // => 'at-least-once'
 */
export function stdout<T>(options: StdoutOptions<T> = {}): Sink<T> {
  const { format = json, takesChanges = options.format === undefined } = options
  return {
    kind: 'stdout',
    guarantee: 'at-least-once',
    takesChanges,
    describe: () => ({}),
    open: () => new StdoutWriter(options.stream ?? process.stdout, format),
  }
}

class StdoutWriter<T> implements SinkWriter<T> {
  readonly #stream: Writable
  readonly #format: (row: T) => string
  #failure: Error | undefined
  readonly #onError = (error: Error): void => {
    this.#failure = error
  }

  constructor(stream: Writable, format: (row: T) => string) {
    this.#stream = stream
    this.#format = format
    stream.on('error', this.#onError)
  }

  write(batch: Batch<T>): Promise<void> | undefined {
    let text = ''
    for (let i = 0; i < batch.length; i++) text += `${this.#format(markedRow(batch, i))}\n`
    return text === '' ? undefined : this.#send(text)
  }

  flush(): Promise<void> {
    return this.#send('')
  }

  close(): void {
    this.#stream.off('error', this.#onError)
  }

  /** Resolves when the text has left the process: that is the back-pressure. */
  #send(text: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (error?: Error | null): void => {
        const failure = error ?? this.#failure
        if (failure === undefined || failure === null) resolve()
        else reject(closedError(failure))
      }
      if (this.#failure === undefined) this.#stream.write(text, done)
      else done()
    })
  }
}

function json(row: unknown): string {
  return (
    JSON.stringify(row, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value)) ?? 'undefined'
  )
}

function closedError(failure: Error): OperationalError {
  return new OperationalError(
    'STDOUT_CLOSED',
    `the standard output takes no more rows: ${messageOf(failure)}. The flow stops; its state is committed up to the last commit.`,
    { cause: failure },
  )
}
