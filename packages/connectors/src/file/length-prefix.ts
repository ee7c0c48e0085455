/** The number in front of a binary record that says how many bytes follow it. */
import { UsageError } from 'millrace/connector'

/** Unsigned, 2 or 4 bytes, little or big end first. The length does not count the prefix itself. */
export type LengthPrefix = 'u16le' | 'u16be' | 'u32le' | 'u32be'

export function prefixBytes(prefix: LengthPrefix): number {
  return prefix === 'u16le' || prefix === 'u16be' ? 2 : 4
}

/** Largest length the prefix can say. */
export function prefixMax(prefix: LengthPrefix): number {
  return 2 ** (8 * prefixBytes(prefix)) - 1
}

export function readPrefix(bytes: Buffer, at: number, prefix: LengthPrefix): number {
  switch (prefix) {
    case 'u16le':
      return bytes.readUInt16LE(at)
    case 'u16be':
      return bytes.readUInt16BE(at)
    case 'u32le':
      return bytes.readUInt32LE(at)
    case 'u32be':
      return bytes.readUInt32BE(at)
  }
}

export function writePrefix(bytes: Buffer, at: number, prefix: LengthPrefix, length: number): void {
  switch (prefix) {
    case 'u16le':
      bytes.writeUInt16LE(length, at)
      return
    case 'u16be':
      bytes.writeUInt16BE(length, at)
      return
    case 'u32le':
      bytes.writeUInt32LE(length, at)
      return
    case 'u32be':
      bytes.writeUInt32BE(length, at)
      return
  }
}

/** @throws UsageError `BINARY_OPTION` for any other text */
export function checkPrefix(prefix: unknown): void {
  if (['u16le', 'u16be', 'u32le', 'u32be'].includes(prefix as string)) return
  throw new UsageError(
    'BINARY_OPTION',
    `lengthPrefixed is ${JSON.stringify(prefix)}; it must be 'u16le', 'u16be', 'u32le' or 'u32be'.`,
  )
}
