// The long jobs of `npm run full`.

/**
 * @typedef {object} Job
 * @property {string} what
 * @property {number} units
 * @property {number} seedsPerUnit seeds begin at 1
 * @property {(firstSeed: number) => string[]} args arguments for Node that do one unit
 * @property {(stdout: string) => Record<string, number> | null} counts what a unit did, to be added up; null when it
 * cannot be told, which is a failure
 * @property {string[]} [highest] counts of which the highest is kept
 * @property {number} unitLimitMs a unit that takes longer is ended and has failed
 * @property {number} [lineEveryMs] between lines of progress
 */

/** @type {Record<string, Job>} */
export const jobs = {
  sim: {
    what: '1000 simulated runs, 10 seeds a unit',
    units: 100,
    seedsPerUnit: 10,
    args: (seed) => ['--conditions=millrace-source', 'simulation/main.ts', '--from', `${seed}`, '--seeds', '10'],
    counts: simCounts,
    unitLimitMs: 20 * 60_000,
  },
  kill: {
    what: '20 runs of real processes ended by kill -9',
    units: 20,
    seedsPerUnit: 1,
    args: (seed) => ['--conditions=millrace-source', 'simulation/kill.ts', '--seed', `${seed}`],
    counts: killCounts,
    unitLimitMs: 20 * 60_000,
  },
  fusion: {
    what: 'the control loop of examples/vla-control at its rates for ten minutes: in time, without drift, no frame dropped',
    units: 1,
    seedsPerUnit: 1,
    args: () => ['--conditions=millrace-source', 'bench/control/run.ts', '--seconds', '600', '--verify'],
    counts: fusionCounts,
    unitLimitMs: 20 * 60_000,
  },
  log: {
    what: 'the embedded log: 50 kills among four processes that append and read, and readers stopped for a minute',
    units: 5,
    seedsPerUnit: 1,
    args: (seed) => [
      '--conditions=millrace-source',
      'packages/connectors/test/log-kills.ts',
      ...['--seed', `${seed}`, '--kills', '10', '--stop-ms', '60000'],
    ],
    counts: logCounts,
    highest: ['takeOverMsMax'],
    unitLimitMs: 20 * 60_000,
  },
  'log-flow': {
    what: 'a flow log -> window -> log under 50 kills',
    units: 5,
    seedsPerUnit: 1,
    args: (seed) => [
      '--conditions=millrace-source',
      'packages/connectors/test/log-flow-kills.ts',
      ...['--seed', `${seed}`, '--kills', '10'],
    ],
    counts: logCounts,
    unitLimitMs: 20 * 60_000,
  },
  'remote-faults': {
    what: 'remote nodes: 1,000 faults of connections and processes on virtual time, about nine a seed, 10 seeds a unit',
    units: 12,
    seedsPerUnit: 10,
    args: (seed) => [
      '--conditions=millrace-source',
      'packages/remote/test/remote-faults.ts',
      ...['--from', `${seed}`, '--seeds', '10'],
    ],
    counts: jsonCounts,
    unitLimitMs: 10 * 60_000,
  },
  'remote-fuzz': {
    what: 'remote nodes: 10,000 hostile messages to gateway, node and client, beside honest peers, 1,000 a unit',
    units: 10,
    seedsPerUnit: 1,
    args: (seed) => [
      '--conditions=millrace-source',
      'packages/remote/test/remote-fuzz.ts',
      ...['--seed', `${seed}`, '--messages', '1000'],
    ],
    counts: jsonCounts,
    highest: ['bytesGrown'],
    unitLimitMs: 10 * 60_000,
  },
  'remote-long': {
    what: 'remote nodes: a stream of 400 s, and one that computes for 50 s beside other calls',
    units: 1,
    seedsPerUnit: 1,
    args: () => ['--conditions=millrace-source', 'tests/acceptance/remote/remote-long.ts'],
    counts: jsonCounts,
    highest: ['lagP99Ms', 'echoP95Ms', 'echoP99Ms'],
    unitLimitMs: 15 * 60_000,
  },
}

const SIM_LINE =
  /^(\d+) seeds, (\d+) failed, [\d.]+ s; (\d+) crashes of processes, (\d+) restarts of workers, (\d+) s of virtual time$/m

/** @param {string} stdout of simulation/main.ts */
function simCounts(stdout) {
  const found = SIM_LINE.exec(stdout)
  if (found === null) return null
  const [runs, failedRuns, crashes, workerRestarts, virtualSeconds] = found.slice(1).map(Number)
  return { runs, failedRuns, crashes, workerRestarts, virtualSeconds }
}

/** @param {string} stdout of simulation/kill.ts: a line of JSON */
function killCounts(stdout) {
  const line = stdout.trim().split('\n').at(-1) ?? ''
  if (!line.startsWith('{')) return null
  const { kills, resumed, rows, outputs } = JSON.parse(line)
  const records = Object.values(outputs).reduce((sum, count) => sum + count, 0)
  return { runs: 1, kills, resumed, inputRecords: rows, outputRecords: records }
}

/** @param {string} stdout of log-kills.ts or log-flow-kills.ts: a line of JSON */
function logCounts(stdout) {
  const line = stdout.trim().split('\n').at(-1) ?? ''
  if (!line.startsWith('{')) return null
  const { seed: _, ...counts } = JSON.parse(line)
  return { runs: 1, ...counts }
}

/** @param {string} stdout of bench/control/run.ts: a line of JSON */
function fusionCounts(stdout) {
  const line = stdout.trim().split('\n').at(-1) ?? ''
  if (!line.startsWith('{')) return null
  const { latency, minutes, frames, framesDropped, answered, unseen, pointsPerSecond, rssMiB, commits } =
    JSON.parse(line)
  const { p50Ms, p99Ms, maxMs } = latency
  const p99MsFirstMinute = minutes[0].p99Ms
  const p99MsLastMinute = minutes.at(-1).p99Ms
  const memoryMiBAtStart = rssMiB[0]
  const memoryMiBAtEnd = rssMiB.at(-1)
  return {
    ...{ frames, framesDropped, answered, unseen, pointsPerSecond, commits },
    ...{ p50Ms, p99Ms, maxMs, p99MsFirstMinute, p99MsLastMinute, memoryMiBAtStart, memoryMiBAtEnd },
  }
}

/** @param {string} stdout of a program whose last line is JSON with its counts */
function jsonCounts(stdout) {
  const line = stdout.trim().split('\n').at(-1) ?? ''
  return line.startsWith('{') ? JSON.parse(line) : null
}
