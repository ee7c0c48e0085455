/** CPU time per record of every operator, beside the same by hand. */
import type { Bench } from '../lib/bench.ts'
import { measureInChild } from '../lib/child.ts'
import type { Table } from '../lib/report.ts'
import { short, spread, spreadText } from '../lib/spread.ts'
import { cases, type OperatorCase } from './cases.ts'
import type { OperatorRun } from './run.ts'

export const operators: Bench = {
  what: 'cost per record of each operator and window, generated and interpreted loops, columns and rows',
  async measure(isFull) {
    const settings = isFull ? ['--rows', '300000', '--times', '3'] : ['--rows', '100000', '--times', '3']
    const data: Record<string, OperatorRun> = {}
    for (const name of Object.keys(cases)) {
      data[name] = await measureInChild<OperatorRun>('operators/run.ts', [name, ...settings])
    }
    const groups = [...new Set(Object.values<OperatorCase>(cases).map(({ group }) => group))]
    return { tables: groups.map((group) => groupTable(group, data)), data }
  },
}

function groupTable(group: OperatorCase['group'], data: Readonly<Record<string, OperatorRun>>): Table {
  const names = Object.keys(cases).filter((name) => cases[name].group === group)
  return {
    title: `Operators: ${group}`,
    head: ['operator', 'operator ns', 'whole flow ns', 'K records per CPU s', 'by hand ns', 'operator / by hand'],
    rows: names.map((name) => {
      const { flowNs, emptyNs, byHandNs } = data[name]
      const own = spread(flowNs).median - spread(emptyNs).median
      const hand = byHandNs.length === 0 ? undefined : spread(byHandNs).median
      return [
        name,
        own < 5 ? '< 5' : short(own),
        spreadText(spread(flowNs)),
        short(1e6 / spread(flowNs).median),
        hand === undefined ? '' : short(hand),
        hand === undefined ? '' : short(Math.max(own, 0) / hand),
      ]
    }),
  }
}
