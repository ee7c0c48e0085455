/** The partitioner of Kafka's Java client: a key lies in the same partition whoever produced it. */

/**
 * MurmurHash2 (32 bits) with Kafka's seed; signed, as Java gives it.
 * @example murmur2(Buffer.from('21')) // => -973932308
 */
export function murmur2(bytes: Uint8Array): number {
  const m = 0x5bd1e995
  const length = bytes.length
  let h = 0x9747b28c ^ length
  const whole = length & ~3
  for (let i = 0; i < whole; i += 4) {
    let k = bytes[i] | (bytes[i + 1] << 8) | (bytes[i + 2] << 16) | (bytes[i + 3] << 24)
    k = Math.imul(k, m)
    k ^= k >>> 24
    h = Math.imul(h, m) ^ Math.imul(k, m)
  }
  const rest = length - whole
  if (rest > 2) h ^= bytes[whole + 2] << 16
  if (rest > 1) h ^= bytes[whole + 1] << 8
  if (rest > 0) h = Math.imul(h ^ bytes[whole], m)
  h ^= h >>> 13
  h = Math.imul(h, m)
  return h ^ (h >>> 15)
}

/**
 * The partition of a key.
 * @example partitionOf(Buffer.from('foobar'), 10) // => 6
 */
export function partitionOf(key: Uint8Array, partitions: number): number {
  return (murmur2(key) & 0x7fffffff) % partitions
}
