/**
 * Hostile messages against gateway, node and client:
 *
 *   node --conditions=millrace-source packages/remote/test/remote-fuzz.ts --seed K [--messages N]
 *
 * Prints a line of JSON. Exit code 1 when an honest peer suffered, or memory grew by 8 MiB.
 */
import { parseArgs } from 'node:util'
import { fuzz } from './fuzz/fuzz.ts'
import { heapBytes } from './fuzz/heap.ts'

const { values } = parseArgs({ options: { seed: { type: 'string' }, messages: { type: 'string' } } })
const report = await fuzz(Number(values.seed ?? 1), Number(values.messages ?? 1_000), heapBytes)
console.log(JSON.stringify(report))
process.exitCode = report.bytesGrown < 8 * 1024 * 1024 ? 0 : 1
