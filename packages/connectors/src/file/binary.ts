/** Binary records, of one size or with a length in front, as source and as sink. */
import { UsageError } from 'millrace/connector'
import { BinaryDecoder } from './binary-decoder.ts'
import {
  bytesOption,
  DEFAULT_RECORD_BYTES,
  type FileConnector,
  type FileOptions,
  fileConnector,
} from './file-connector.ts'
import { checkPrefix, type LengthPrefix, prefixBytes, prefixMax, writePrefix } from './length-prefix.ts'

export type BinaryOptions<T> = FileOptions &
  (
    | { /** Every record has this many bytes. */ readonly recordBytes: number; readonly lengthPrefixed?: undefined }
    | {
        readonly recordBytes?: undefined
        /** Every record stands behind its length in bytes, a number of this form. */
        readonly lengthPrefixed: LengthPrefix
        /** Source: longer records are skipped and rejected. Default 1 MiB. */
        readonly maxRecordBytes?: number
      }
  ) & {
    /**
     * Source: a record from its bytes. `bytes` is a view that is reused: copy what is kept of it. What it throws is a
     * bad record (`RECORD_DECODE`).
     */
    readonly decode?: (bytes: Uint8Array) => T
    /** Sink: the bytes of a row, without a length. */
    readonly encode?: (row: T) => Uint8Array
  }

/**
 * Reads or writes binary records. A source needs `decode`, a sink `encode`.
 *
 * Bad records go to the source's error policy: `RECORD_DECODE`, `RECORD_TOO_LARGE`, and `RECORD_TRUNCATED` for a last
 * one that is not whole. Nothing marks where a record begins, so what follows a wrong length is garbage: where that may
 * happen, give records a checksum and check it in `decode`.
 *
 * @throws UsageError `FILE_PATH`, `FILE_OPTION`, `BINARY_OPTION`, `DURATION`
 * @example binary({ path: 'adc.bin', recordBytes: 2, decode: (b) => b[0] + 256 * b[1] }).kind // => 'file.binary'
 */
export function binary<T>(options: BinaryOptions<T>): FileConnector<T> {
  const { recordBytes, lengthPrefixed, decode, encode } = options
  if ((recordBytes === undefined) === (lengthPrefixed === undefined)) {
    throw new UsageError('BINARY_OPTION', 'binary needs either recordBytes or lengthPrefixed.')
  }
  if (decode === undefined && encode === undefined) {
    throw new UsageError('BINARY_OPTION', 'binary needs decode, as a source, or encode, as a sink.')
  }
  if (lengthPrefixed !== undefined) checkPrefix(lengthPrefixed)
  const prefix = lengthPrefixed ?? 'u32le'
  const maxRecordBytes =
    recordBytes === undefined
      ? bytesOption('maxRecordBytes', options.maxRecordBytes ?? DEFAULT_RECORD_BYTES)
      : bytesOption('recordBytes', recordBytes)
  return fileConnector<T>(options, {
    kind: 'file.binary',
    describe: recordBytes === undefined ? { lengthPrefixed } : { recordBytes },
    takesChanges: false,
    decoder: (_path, position, reject) => {
      if (decode === undefined) throw missing('source', 'decode: (bytes) => record')
      return new BinaryDecoder<T>(position, { recordBytes, prefix, maxRecordBytes, decode }, reject)
    },
    encoding: () => {
      if (encode === undefined) throw missing('sink', 'encode: (row) => bytes')
      return {
        header: new Uint8Array(0),
        encode: recordBytes === undefined ? withLength(encode, prefix) : ofSize(encode, recordBytes),
      }
    },
  })
}

function withLength<T>(encode: (row: T) => Uint8Array, prefix: LengthPrefix): (row: T) => Uint8Array {
  const head = prefixBytes(prefix)
  const max = prefixMax(prefix)
  return (row) => {
    const bytes = encode(row)
    if (bytes.length > max)
      throw new RangeError(`it has ${bytes.length} bytes and a ${prefix} prefix counts up to ${max}`)
    const out = Buffer.allocUnsafe(head + bytes.length)
    writePrefix(out, 0, prefix, bytes.length)
    out.set(bytes, head)
    return out
  }
}

function ofSize<T>(encode: (row: T) => Uint8Array, recordBytes: number): (row: T) => Uint8Array {
  return (row) => {
    const bytes = encode(row)
    if (bytes.length !== recordBytes) throw new RangeError(`it has ${bytes.length} bytes instead of ${recordBytes}`)
    return bytes
  }
}

function missing(role: string, option: string): UsageError {
  return new UsageError('BINARY_OPTION', `binary is used as a ${role} and needs ${option}.`)
}
