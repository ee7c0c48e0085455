/** `millrace capacity`: what points cost as a batch and as a stream, by the capacity model of `millrace`. Runs nothing. */
import { Command } from 'commander'
import { type CapacityOptions, capacity } from 'millrace'
import type { Exit } from '../index.ts'
import type { Io } from '../io.ts'
import { sizeBytes, timeMs, wholeNumber } from '../parse-options.ts'
import { capacityLines } from '../terminal/capacity-table.ts'
import { styleFor, widthOf } from '../terminal/style.ts'

const AFTER_HELP = `
Examples:
  millrace capacity --interval 0.1 --process 0.05 --points 100 --size 1MB --inflight 5
  millrace capacity --interval 10ms --process 25ms --points 6000 --size 2kB
  millrace capacity --interval 0 --process 2ms --points 1000000 --size 300B --json`

interface Options {
  readonly interval: number
  readonly process: number
  readonly points: number
  readonly size: number
  readonly inflight?: number
  readonly json: boolean
}

export function capacityCommand(io: Io, _exit: Exit): Command {
  return new Command('capacity')
    .description('compare a batch of points with a stream of them: latency, throughput, memory')
    .requiredOption('--interval <time>', "from one point to the next: seconds, or '100ms'", timeMs)
    .requiredOption('--process <time>', 'work on one point', timeMs)
    .requiredOption('--points <n>', 'points of a batch', wholeNumber(1, 1e9))
    .requiredOption('--size <bytes>', "of one point: '1MB', '4KiB'", sizeBytes)
    .option('--inflight <n>', 'points the stream keeps memory for (default: as many as needed)', wholeNumber(1, 1e9))
    .option('--json', 'one JSON document', false)
    .addHelpText('after', AFTER_HELP)
    .action(({ interval, process, points, size, inflight, json }: Options) => {
      const figures: CapacityOptions = {
        ...{ points, intervalMs: interval, processMs: process, sizeBytes: size },
        ...(inflight === undefined ? {} : { inFlight: inflight }),
      }
      const result = capacity(figures)
      const style = styleFor(io.stdout, io.env)
      const text = json
        ? JSON.stringify({ given: figures, ...result }, null, 2)
        : capacityLines(figures, result, widthOf(io.stdout, io.env), style).join('\n')
      io.stdout.write(`${text}\n`)
    })
}
