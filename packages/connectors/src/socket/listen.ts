/** Where sockets listen: the ports of a source, and what `listen` or `bind` can fail with. */
import { UsageError } from 'millrace/connector'
import { wholeNumber } from '../http/options.ts'

/** Where a socket listens, as the system tells it. */
export interface SocketAddress {
  readonly host: string
  readonly port: number
}

export interface PortOptions {
  /** Port or ports to listen at; each is a partition. 0 takes a free one: it is in the log and given to `onListening`. */
  readonly port: number | readonly number[]
  /** Address to listen at. Default '127.0.0.1': only this machine. '0.0.0.0' is everybody who can reach it. */
  readonly host?: string
  /** Called with the address once it listens, in the thread that runs the source. */
  readonly onListening?: (address: SocketAddress) => void
}

/** Partition names and their ports. @throws UsageError `LIVE_OPTION` */
export function portPartitions(host: string, port: number | readonly number[]): ReadonlyMap<string, number> {
  const ports = typeof port === 'number' ? [port] : port
  if (ports.length === 0) throw new UsageError('LIVE_OPTION', 'port is an empty list; a source needs a port or more.')
  const partitions = new Map<string, number>()
  for (const one of ports) {
    wholeNumber('port', one, 0, 65_535)
    let name = `${host}:${one}`
    for (let n = 2; partitions.has(name); n++) {
      if (one !== 0) throw new UsageError('LIVE_OPTION', `port ${one} is given twice.`)
      name = `${host}:0/${n}`
    }
    partitions.set(name, one)
  }
  return partitions
}

/** True for 1, 2, 4, 8, ...: what happens often is logged this often. */
export function isPowerOfTwo(count: number): boolean {
  return count > 0 && Number.isInteger(Math.log2(count))
}
