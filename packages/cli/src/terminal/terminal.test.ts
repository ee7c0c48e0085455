/** What the terminal draws, from messages and a fixed clock: no process, no time. */
import type { ObserveMessage, PlanEdge, PlanStep, SampleMessage, SourcePartition } from 'millrace/observe'
import stringWidth from 'string-width'
import { describe, expect, test } from 'vitest'
import type { Output } from '../io.ts'
import { ChangeLines } from './changes.ts'
import { formatBytes, formatCount, formatDuration, formatExact, formatLeft, formatPercent } from './format.ts'
import { liveLines } from './live.ts'
import { reportLines } from './report.ts'
import { statusLines } from './status-table.ts'
import { plain, styleFor } from './style.ts'
import { RunView } from './view.ts'

const T0 = Date.UTC(2026, 0, 2, 12, 0, 0)
const pipe = styleFor({} as Output, {})

const shapes = [
  { name: 'gps-positions-of-all-vehicles', kind: 'source', stage: 0 },
  { name: 'filter#1', kind: 'filter', stage: 0 },
  { name: 'keyBy#2', kind: 'keyBy', stage: 0 },
  { name: 'average', kind: 'window', stage: 0 },
  { name: 'out', kind: 'sink', stage: 1 },
]
const steps = shapes.map(
  ({ name, kind, stage }, i): PlanStep => ({
    i,
    name,
    isNamed: !name.includes('#'),
    kind,
    stage,
    tasks: 1,
    at: `app.ts:${i + 5}`,
    time: i === 0 ? 'event' : null,
    bounded: i === 0 ? false : null,
    order: 'deterministic',
    guarantee: i === 4 ? 'exactly-once' : null,
    fusedWith: i === 2 ? 1 : null,
    connector: null,
    detail: {},
  }),
)
const edges = [0, 1, 2, 3].map((i): PlanEdge => {
  return { i, from: i, to: i + 1, output: 'out', kind: i === 3 ? 'queue' : 'fused', capacity: null, whenFull: null }
})

/** A live flow at second `second`: two partitions, of which the second fell silent at the start. */
function messages(
  second: number,
  more: { bounded?: boolean; errors?: number; quiet?: boolean } = {},
): ObserveMessage[] {
  const { bounded = false, errors = 0, quiet = true } = more
  const at = T0 + second * 1000
  const read = 41_234 * second
  const zero = steps.map(() => 0)
  const watermark = quiet ? T0 - 2_000 : at - 2_000
  const cols: SampleMessage['cols'] = {
    recordsIn: [read, read, read / 2, read / 2, second * 812],
    recordsOut: [read, read / 2, read / 2, second * 812, second * 812],
    bytesOut: zero,
    busy: [0.05, 0.61, 0, 0.28, 0.01],
    blocked: zero,
    await: [0, 0, 0, 0, 0.04],
    watermark: steps.map(() => watermark),
    stateBytes: [0, 0, 0, 19_084_083, 0],
    keys: zero,
    late: [0, 0, 0, 14, 0],
    dropped: zero,
    dead: zero,
    retried: zero,
    errors: [0, errors, 0, 0, 0],
    queueFill: [null, null, null, null, 0.1],
  }
  const partition = (name: string, last: number): SourcePartition => ({
    source: 0,
    partition: name,
    position: read,
    watermark: last - 2_000,
    lastRecordAt: last,
    idle: false,
    ended: false,
    pausedByAlignment: false,
    lag: 5_000 - second * 100,
    progress: bounded ? second / 100 : null,
    records: read,
    holds: name === '3' ? [1, 2, 3, 4] : [],
  })
  const planned = steps.map((s) => (s.i === 0 ? { ...s, bounded } : s))
  const limits = { hz: 1, queueMessages: 256, sourcesMax: 64 }
  const base = { seq: 1, at, flow: 'sensor-averages', planHash: 'h' }
  const parts = [partition('3', quiet ? T0 : at), partition('4', at)]
  return [
    { ...base, type: 'hello', contract: '1.0', server: 'test', pid: 1, startedAt: T0, limits, features: [] },
    { ...base, type: 'plan', workers: 1, steps: planned, edges },
    { ...base, type: 'sample', attempt: 0, state: 'running', interval: 1000, cols },
    {
      ...base,
      type: 'sources',
      partitions: parts,
      rest: null,
      lag: 10_000 - second * 200,
      progress: bounded ? second / 100 : null,
    },
    {
      ...base,
      type: 'commit',
      epoch: second * 10,
      n: 10,
      committedAt: at - 100,
      phases: { barrier: 2, decision: 6 },
      bytes: 1,
      outcome: 'committed',
    },
  ]
}

function viewAfter(seconds: number, more: Parameters<typeof messages>[1] = {}): RunView {
  const view = new RunView()
  for (let s = 1; s <= seconds; s++) for (const message of messages(s, more)) view.update(message)
  return view
}

function draw(view: RunView, width: number, seconds: number, height = 24): string[] {
  return liveLines(view, {
    width,
    height,
    now: T0 + seconds * 1000,
    style: pipe,
    hint: 'Ctrl-C commits and stops; start again to continue',
  })
}

describe('the picture of a live flow', () => {
  test('at 120 columns shows everything, and who holds the results back', () => {
    expect(draw(viewAfter(30), 120, 30)).toMatchInlineSnapshot(`
      [
        "sensor-averages  running 30 s            in 41.2 k/s   out 812/s",
        "1.24 M read   24.4 k written   4.00 k waiting   caught up in about 20 s   results 32.0 s behind the clock",
        "commit 0.1 s ago (took 8.00 ms)   state 18.2 MiB   late 14   errors 0",
        "STEP                              IN/S   OUT/S        LOAD  BUSY  WAITS  BEHIND     STATE  LATE",
        "gps-positions..-all-vehicles    41.2 k  41.2 k  [........]   5 %    0 %  32.0 s         -     -",
        "filter#1 <                      41.2 k  20.6 k  [#####...]  61 %    0 %  32.0 s         -     -",
        "keyBy#2                         20.6 k  20.6 k       fused     -    0 %  32.0 s         -     -",
        "average                         20.6 k     812  [##......]  28 %    0 %  32.0 s  18.2 MiB    14",
        "out                                812     812  [........]   1 %    4 %  32.0 s         -     -",
        "! "average" waits for "gps-positions-of-all-vehicles" partition 3: last record 30 s ago. If it may go quiet, give it",
        "  idleAfter.",
        "< limiting step: filter#1 to keyBy#2 (app.ts:6), its functions take 61 % of the time",
        "Ctrl-C commits and stops; start again to continue",
      ]
    `)
  })

  test('at 80 columns', () => {
    expect(draw(viewAfter(30), 80, 30)).toMatchInlineSnapshot(`
      [
        "sensor-averages  running 30 s            in 41.2 k/s   out 812/s",
        "1.24 M read   24.4 k written   4.00 k waiting   caught up in about 20 s",
        "results 32.0 s behind the clock   commit 0.1 s ago (took 8.00 ms)",
        "state 18.2 MiB   late 14   errors 0",
        "STEP                           IN/S   OUT/S  BUSY  WAITS  BEHIND     STATE  LATE",
        "gps-position..ll-vehicles    41.2 k  41.2 k   5 %    0 %  32.0 s         -     -",
        "filter#1 <                   41.2 k  20.6 k  61 %    0 %  32.0 s         -     -",
        "keyBy#2                      20.6 k  20.6 k     -    0 %  32.0 s         -     -",
        "average                      20.6 k     812  28 %    0 %  32.0 s  18.2 MiB    14",
        "out                             812     812   1 %    4 %  32.0 s         -     -",
        "! "average" waits for "gps-positions-of-all-vehicles" partition 3: last record",
        "  30 s ago. If it may go quiet, give it idleAfter.",
        "< limiting step: filter#1 to keyBy#2 (app.ts:6), its functions take 61 % of the",
        "  time",
        "Ctrl-C commits and stops; start again to continue",
      ]
    `)
  })

  test('at 40 columns keeps names and rates', () => {
    expect(draw(viewAfter(30), 40, 30)).toMatchInlineSnapshot(`
      [
        "sensor-averages  running 30 s",
        "1.24 M read   24.4 k written",
        "4.00 k waiting   caught up in about 20 s",
        "results 32.0 s behind the clock",
        "commit 0.1 s ago (took 8.00 ms)",
        "state 18.2 MiB   late 14   errors 0",
        "STEP                  IN/S   OUT/S  BUSY",
        "gps-pos..ehicles    41.2 k  41.2 k   5 %",
        "filter#1 <          41.2 k  20.6 k  61 %",
        "keyBy#2             20.6 k  20.6 k     -",
        "average             20.6 k     812  28 %",
        "out                    812     812   1 %",
        "! "average" waits for",
        "  "gps-positions-of-all-vehicles"",
        "  partition 3: last record 30 s ago. If",
        "  it may go quiet, give it idleAfter.",
        "< limiting step: filter#1 to keyBy#2",
        "  (app.ts:6), its functions take 61 % of",
        "  the time",
        "Ctrl-C commits and stops; start again ..",
      ]
    `)
  })

  test('of a bounded source has a bar and the time left', () => {
    expect(draw(viewAfter(25, { bounded: true, quiet: false }), 80, 25).slice(0, 4)).toMatchInlineSnapshot(`
      [
        "sensor-averages  running 25 s            in 41.2 k/s   out 812/s",
        "[##########..............................] 25 %  about 25 s left",
        "1.03 M read   20.3 k written   event time 2026-01-02 12:00:23Z",
        "commit 0.1 s ago (took 8.00 ms)   state 18.2 MiB   late 14   errors 0",
      ]
    `)
  })

  test.each([30, 40, 60, 80, 100, 120, 200])('has no line wider than %i columns', (width) => {
    for (const line of draw(viewAfter(30), width, 30))
      expect(stringWidth(line)).toBeLessThanOrEqual(Math.max(width, 40))
  })

  test('fits a low terminal by leaving out steps without a name', () => {
    const lines = draw(viewAfter(30), 100, 30, 13)
    expect(lines.length).toBeLessThanOrEqual(12)
    expect(draw(viewAfter(30), 100, 30, 6).length).toBeLessThanOrEqual(5)
    expect(lines.join('\n')).toMatch(/more steps/)
  })

  test('says errors in colour and in words', () => {
    const style = styleFor({} as Output, {}, 'always')
    const view = viewAfter(5, { errors: 3 })
    const text = liveLines(view, { width: 100, height: 24, now: T0 + 5_000, style, hint: '' }).join('\n')
    expect(text).toContain('\u001b[31merrors 3\u001b[39m')
  })

  test('is empty before the plan is known', () => {
    expect(draw(new RunView(), 80, 0)).toEqual([])
  })
})

describe('lines for a pipe', () => {
  test('are one per change, and one every ten seconds that says how far it is', () => {
    const view = new RunView()
    const changes = new ChangeLines(view, pipe)
    const lines: string[] = []
    const take = (message: ObserveMessage): void => {
      view.update(message)
      lines.push(...changes.withHeartbeat(message))
    }
    const base = {
      seq: 1,
      at: T0,
      flow: 'sensor-averages',
      severity: 'info',
      code: null,
      step: null,
      attempt: 0,
    } as const
    take({ ...base, type: 'change', kind: 'starting', text: 'continuing after commit 7' })
    for (let s = 1; s <= 24; s++) for (const message of messages(s)) take(message)
    take({
      ...base,
      at: T0 + 25_000,
      type: 'change',
      kind: 'restart',
      severity: 'warn',
      code: 'DISK_IO',
      text: 'the disk failed.',
    })
    take({
      seq: 2,
      at: T0 + 26_000,
      flow: 'f',
      type: 'log',
      severity: 'warn',
      step: 'out',
      code: null,
      text: 'slow\u001b[2Jdisk',
      n: 0,
    })
    expect(lines).toMatchInlineSnapshot(`
      [
        "12:00:00Z  continuing after commit 7",
        "12:00:10Z  ! "average" waits for "gps-positions-of-all-vehicles" partition 3: last record 10 s ago. If it may go quiet, give it idleAfter.",
        "12:00:20Z  still running: in 41.2 k/s, out 812/s, 6.00 k waiting, about 30 s left, commit 190 1.1 s ago, limiting step: filter#1 to keyBy#2 (app.ts:6), its functions take 61 % of the time",
        "12:00:25Z  restart  DISK_IO  the disk failed.",
        "12:00:26Z  warn  out: slow?[2Jdisk",
      ]
    `)
  })
})

describe('the report', () => {
  const ending = { outcome: 'finished', elapsedMs: 12_300, epochs: 120, lastEpoch: 127, restarts: 1 } as const
  const parts = {
    restored: 0,
    made: 0,
    aside: 0,
    filtered: 0,
    merged: 0,
    late: 0,
    dropped: 0,
    dead: 0,
    deduplicated: 0,
    inFlight: 0,
  }
  const flowing = { ...parts, in: 1_000_000, out: 812 }
  const balance = (remainder: number): ObserveMessage => ({
    seq: 9,
    at: T0,
    type: 'balance',
    flow: 'sensor-averages',
    planHash: 'h',
    ...flowing,
    copied: 0,
    remainder,
    steps: steps.map((s) => ({
      ...flowing,
      step: s.i,
      late: s.i === 3 ? 14 : 0,
      remainder: s.i === 3 ? remainder : 0,
    })),
  })

  test('says in one sentence how it ended, that nothing is lost, and exact numbers', () => {
    const view = viewAfter(30)
    view.update(balance(0))
    expect(reportLines(view, ending, 80, pipe)).toMatchInlineSnapshot(`
      [
        "finished sensor-averages after 12.3 s: 1,237,020 records read (101 k/s), 24,360",
        "  written, 120 commits, the last is 127, 1 restart",
        "every record is accounted for",
        "",
        "STEP                           KIND           IN  OUT  LATE",
        "gps-positions-of-all-vehicles  source  1,000,000  812     -",
        "filter#1                       filter  1,000,000  812     -",
        "keyBy#2                        keyBy   1,000,000  812     -",
        "average                        window  1,000,000  812    14",
        "out                            sink    1,000,000  812     -",
      ]
    `)
  })

  test('calls a remainder a defect', () => {
    const view = viewAfter(30)
    view.update(balance(3))
    expect(reportLines(view, ending, 80, pipe)[2]).toMatch(/3 records are not accounted for \(1 step\): a defect/)
  })
})

test('the table of status keeps the flow and its state at 40 columns', () => {
  const flow = {
    flow: 'sensor-averages',
    folder: '/x',
    state: 'running',
    pid: 812,
    startedAt: T0 - 7_200_000,
    lastCommitAt: T0 - 100,
    epoch: 7,
    rateIn: 41_234,
    rateOut: 812,
    lag: 1_210,
    late: 0,
    dead: 0,
    errors: 0,
    restarts: 0,
    http: null,
    problems: [],
  } as const
  const flows = [
    flow,
    {
      ...flow,
      flow: 'fusion',
      state: 'not running',
      pid: null,
      startedAt: null,
      rateIn: null,
      rateOut: null,
      lag: null,
    },
  ] as const
  expect(statusLines(flows, T0, 40, pipe)).toMatchInlineSnapshot(`
    [
      "FLOW             STATE              IN",
      "sensor-averages  running      41.2 k/s",
      "fusion           not running         -",
    ]
  `)
  expect(statusLines(flows, T0, 120, pipe)).toMatchInlineSnapshot(`
    [
      "FLOW             STATE              IN    OUT     LAG     COMMIT  LATE  ERRORS   UP  PID",
      "sensor-averages  running      41.2 k/s  812/s  1.21 k  0.1 s ago     -       -  2 h  812",
      "fusion           not running         -      -       -  0.1 s ago     -       -    -    -",
    ]
  `)
})

describe('colour and motion', () => {
  const terminal = { isTTY: true } as Output
  test.each([
    ['a terminal', terminal, {}, 'auto', true, true],
    ['a pipe', {} as Output, {}, 'auto', false, false],
    ['a pipe with --color always', {} as Output, {}, 'always', true, false],
    ['NO_COLOR', terminal, { NO_COLOR: '1' }, 'auto', false, true],
    ['an empty NO_COLOR', terminal, { NO_COLOR: '' }, 'auto', true, true],
    ['TERM=dumb', terminal, { TERM: 'dumb' }, 'auto', false, false],
    ['CI', terminal, { CI: 'true' }, 'auto', true, false],
    ['a terminal without a size', { isTTY: true, columns: 0 } as Output, {}, 'auto', true, false],
    ['a terminal of 20 columns', { isTTY: true, columns: 20 } as Output, {}, 'auto', true, true],
    ['--color never', terminal, {}, 'never', false, true],
  ] as const)('%s', (_, stream, env, mode, hasColor, hasMotion) => {
    expect(styleFor(stream, env, mode)).toMatchObject({ hasColor, hasMotion })
  })
})

test('text of others cannot redraw the terminal', () => {
  expect(plain('a\u001b[2Jb\u202ec\td\r\n')).toBe('a?[2Jb?c d? ')
})

test('numbers have three significant digits and a unit', () => {
  expect([0, 7, 999, 1_000, 41_234, 999_600, 1.5e9].map(formatCount)).toEqual([
    '0',
    '7',
    '999',
    '1.00 k',
    '41.2 k',
    '1.00 M',
    '1.50 G',
  ])
  expect([0, 1023, 1024, 19_084_083].map(formatBytes)).toEqual(['0 B', '1023 B', '1.00 KiB', '18.2 MiB'])
  expect([0.4, 820, 1_500, 59_960, 190_000, 7_260_000, 180_000_000].map(formatDuration)).toEqual([
    '0.40 ms',
    '820 ms',
    '1.50 s',
    '1 min',
    '3 min 10 s',
    '2 h 1 min',
    '2 d 2 h',
  ])
  expect([500, 42_000, 187_000, 7_300_000].map(formatLeft)).toEqual([
    'less than 1 s',
    'about 42 s',
    'about 3 min',
    'about 2 h',
  ])
  expect([0, 0.004, 0.456, 0.9999, 1].map(formatPercent)).toEqual(['0 %', '0.4 %', '46 %', '99 %', '100 %'])
  expect(formatExact(1_234_567)).toBe('1,234,567')
})
