/** What the system dropped before we saw it, where it says so: Linux counts per socket in /proc/net/udp. */
import { readFile } from 'node:fs/promises'

/**
 * Datagrams the system dropped for the sockets of a port; undefined where it does not tell (not Linux). Several sockets
 * of one port are added up.
 */
export async function kernelDrops(port: number, isIpv6: boolean): Promise<number | undefined> {
  try {
    return dropsOf(await readFile(isIpv6 ? '/proc/net/udp6' : '/proc/net/udp', 'utf8'), port)
  } catch {
    return undefined
  }
}

/** @param table as the kernel prints it: the local address is the second column, the drops are the last */
export function dropsOf(table: string, port: number): number | undefined {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  let drops: number | undefined
  for (const line of table.split('\n').slice(1)) {
    const columns = line.trim().split(/\s+/)
    if (columns[1]?.endsWith(suffix)) drops = (drops ?? 0) + Number(columns.at(-1))
  }
  return drops
}
