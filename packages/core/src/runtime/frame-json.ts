/** Values of a frame that have no binary form (Map, Set, deep nesting, rare shapes): tagged JSON. */
import type { ByteReader, ByteWriter } from '../batch/bytes.ts'
import { parse, stringify } from '../state/codec.ts'

/** Values of one text: V8 refuses texts beyond 512 MiB, so what many large values make together stays below. */
const valuesPerText = 256

/** @throws UnsupportedValue */
export function encodeJson(writer: ByteWriter, values: ArrayLike<unknown>, n: number): void {
  for (let from = 0; from < n; from += valuesPerText) {
    const part: unknown[] = []
    for (let i = from; i < Math.min(n, from + valuesPerText); i++) part.push(values[i])
    writer.utf8(stringify(part))
  }
}

export function decodeJson(reader: ByteReader, n: number): unknown[] {
  const values: unknown[] = []
  while (values.length < n) for (const value of parse(reader.utf8()) as unknown[]) values.push(value)
  return values
}
