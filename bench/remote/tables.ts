/** The tables of the remote benchmark. */
import type { Percentiles } from '../lib/histogram.ts'
import type { Table } from '../lib/report.ts'
import { type Spread, short, spread, spreadText } from '../lib/spread.ts'
import { type Rounds, ratios } from './rounds.ts'
import type { System, Systems } from './systems.ts'

const NONE = '---'

/** Of one caller. */
const LATENCY_GOALS_MS = { p50Ms: 0.5, p99Ms: 3 } as const

export function callsTable(
  rounds: Rounds,
  ours: System,
  systems: readonly System[],
  callersOf: readonly number[],
  notes: readonly string[],
): Table {
  const rows = callersOf.flatMap((callers) =>
    systems.map((system) => {
      const of = (name: keyof Percentiles | 'perS') => rounds.figures('calls', system, name, { callers }) ?? []
      const perS = rounds.figures('calls', ours, 'perS', { callers }) ?? []
      const isOurs = system === ours
      return [
        system.name,
        String(callers),
        ...(['p50Ms', 'p99Ms'] as const).map((name) =>
          judged(
            spread(of(name)),
            isOurs && callers === 1 ? ({ median }) => median < LATENCY_GOALS_MS[name] : undefined,
          ),
        ),
        spreadText(spread(of('maxMs'))),
        judged(spread(of('perS')), isOurs && callers === 64 ? ({ median }) => median >= 20_000 : undefined),
        isOurs ? NONE : spreadText(ratios(perS, of('perS'))),
      ]
    }),
  )
  return {
    title: 'Echo of a number',
    head: ['system', 'callers', 'p50 ms', 'p99 ms', 'max ms', 'calls/s', 'ours / this'],
    rows,
    notes: [
      'Goals: p50 0.5 ms and p99 3 ms with one caller, 20,000 calls/s with 64. A caller calls again when it has its answer. ' +
        'Client, gateway and node are processes of their own on one machine; where there is no gateway, client and server.',
      'In threads: as `millrace node FILE` runs functions, outside the thread of the link; generators that are not async in a pool.',
      ...notes,
    ],
  }
}

const KINDS = { gen: 'numbers, generator', agen: 'numbers, async generator', texts: 'texts of 1 KiB' } as const

export function itemsTable(rounds: Rounds, ours: System, systems: readonly System[]): Table {
  const rows = Object.entries(KINDS).flatMap(([fn, kind]) =>
    systems.flatMap((system) => {
      const perS = rounds.figures('items', system, 'perS', { fn })
      if (perS === undefined) return []
      const first = rounds.figures('items', system, 'firstMs', { fn }) ?? []
      const isOurs = system === ours
      const own = rounds.figures('items', ours, 'perS', { fn }) ?? []
      return [
        [
          kind,
          system.name,
          judged(spread(perS), isOurs && fn === 'gen' ? ({ median }) => median >= 500_000 : undefined),
          spreadText(spread(first)),
          isOurs ? NONE : spreadText(ratios(own, perS)),
        ],
      ]
    }),
  )
  return {
    title: 'One stream, read as fast as it comes',
    head: ['items', 'system', 'items/s', 'first item after ms', 'ours / this'],
    rows,
    notes: [
      'Goal: 500,000 small items/s. Window of 256 items and 1 MiB, the default. Every item is checked. The first item is counted ' +
        'from the request. gRPC and the bare WebSocket send a message per item, ours a frame per turn of the event loop.',
    ],
  }
}

export function largeTable(rounds: Rounds, ours: System, grpc: System | undefined, easyRemote: unknown): Table {
  const row = (name: string, system: System): string[] => [
    name,
    ...['argumentMs', 'resultMs'].map((figure) => spreadText(spread(rounds.figures('large', system, figure) ?? []))),
  ]
  const peer = easyRemote as Readonly<Record<string, number | string | null>> | undefined
  return {
    title: '64 MiB, ms',
    head: ['system', 'argument', 'result'],
    rows: [
      row(ours.name, ours),
      ...(grpc === undefined ? [] : [row(grpc.name, grpc)]),
      ...(peer === undefined
        ? []
        : [['EasyRemote', ...['argument', 'result'].map((what) => textOf(peer[`${what}Ms`], peer[`${what}Error`]))]]),
    ],
  }
}

function textOf(ms: unknown, error: unknown): string {
  return typeof ms === 'number' ? short(ms) : `fails: ${String(error).split('\n')[0].slice(0, 60)}`
}

/** The other goals. */
export function targetsTable(
  rounds: Rounds,
  { ours, threads, nats, easyRemote }: Pick<Systems, 'ours' | 'threads' | 'nats' | 'easyRemote'>,
  loss: unknown,
  lossLimitS: number,
  rates: readonly number[],
): Table {
  const of = (system: System | undefined, what: string, name: string, setting = {}): string => {
    const figures = system === undefined ? undefined : rounds.figures(what, system, name, setting)
    return figures === undefined ? NONE : spreadText(spread(figures))
  }
  const row = (what: string, goal: number, figure: [string, string, Readonly<Record<string, number>>?]): string[] => {
    const own = spread(rounds.figures(figure[0], ours, figure[1], figure[2] ?? {}) ?? [])
    return [
      what,
      String(goal),
      judged(own, ({ median }) => median < goal),
      ...[threads, nats, easyRemote].map((s) => of(s, ...figure)),
    ]
  }
  const lost = loss as Readonly<Record<string, number | null>> | undefined
  const lossRow = (what: string, name: string): string[] => {
    const peer =
      lost === undefined ? NONE : typeof lost[name] !== 'number' ? `> ${lossLimitS * 1000}` : short(lost[name])
    return [...row(what, 1000, ['loss', name]).slice(0, 5), peer]
  }
  return {
    title: 'Streams and failures',
    head: ['what', 'goal, below', ours.name, 'in threads', 'over NATS', 'EasyRemote'],
    rows: [
      row('first item after it was yielded, p50 ms', 20, ['first', 'p50Ms']),
      row('first item after it was yielded, p99 ms', 20, ['first', 'p99Ms']),
      row('an item each 0.5 s: max ms after it was yielded', 50, ['arrival', 'maxMs']),
      lossRow('kill -9 of the node: error of a call after ms', 'callMs'),
      lossRow('kill -9 of the node: error of a stream after ms', 'streamMs'),
      ...(['gateway', 'node', 'client'] as const).map((process) =>
        row(`client stops reading: growth of the ${process}, MiB`, 16, ['stopped', `${process}Mib`]),
      ),
      row('client stops reading: items produced ahead', 257, ['stopped', 'ahead']),
      row('client stops reading: echo of another client, p99 ms', 50, ['stopped', 'echoP99Ms']),
      ...rates.flatMap((rate) =>
        (['p50', 'p99'] as const).map((at) =>
          row(`sensor, ${rate}/s: sample due to client, ${at} ms`, 10, ['sensor', `${at}Ms`, { rate }]),
        ),
      ),
      row('echo beside a generator of 2 ms items, p99 ms', 20, ['beside', 'p99Ms']),
    ],
    notes: [
      'Sensor: a node gives samples with statistics of a window, due by the clock (one that falls behind shows it), while a ' +
        'stream takes a whole core: on another node, or in a thread of the same.',
    ],
  }
}

function judged(figure: Spread, isMet?: (figure: Spread) => boolean): string {
  const text = spreadText(figure)
  return isMet === undefined ? text : `${text} ${isMet(figure) ? 'ok' : 'MISSED'}`
}
