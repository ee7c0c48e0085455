/**
 * The control loop of examples/vla-control, as it is, with a sink that measures instead of printing: full frames, all
 * sensors, the script of orders.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { dataflow } from 'millrace'
import type { Sink } from 'millrace/connector'
import { rules } from '../../examples/vla-control/action-generator.ts'
import { nowMs } from '../../examples/vla-control/clock.ts'
import { describeControl } from '../../examples/vla-control/flow.ts'
import { chooseInputs } from '../../examples/vla-control/inputs.ts'
import type { Action } from '../../examples/vla-control/records.ts'
import { Latencies } from '../lib/histogram.ts'
import { type ControlSettings, MINUTE_MS, WARM_UP_MS } from './limits.ts'

const settings: ControlSettings = JSON.parse(process.env.MILLRACE_CONTROL as string)

export const control = dataflow('control')
const { seconds, folder } = settings
const inputs = chooseInputs({
  camera: undefined,
  language: 'script',
  log: undefined,
  follow: true,
  seconds,
  wait: '10ms',
})
describeControl(control, inputs, { generator: rules, actions: measuringSink() })

/** From the moment a frame is meant to be exposed to the call with its action, by minute of the measured time. */
function measuringSink(): Sink<Action> {
  return {
    kind: 'bench.actions',
    guarantee: 'at-least-once',
    describe: () => ({}),
    open: () => {
      const minutes: Latencies[] = []
      let startMs = Number.NaN
      let answered = 0
      return {
        write(batch) {
          const now = nowMs()
          for (let i = 0; i < batch.length; i++) {
            const { at, by } = batch.row(i)
            if (by !== rules.kind) continue
            answered++
            if (Number.isNaN(startMs)) startMs = at + WARM_UP_MS
            if (at < startMs) continue
            const minute = Math.floor((at - startMs) / MINUTE_MS)
            while (minutes.length <= minute) minutes.push(new Latencies())
            minutes[minute].record(now - at)
          }
        },
        close() {
          if (answered === 0) return
          const file = { answered, minutes: minutes.map((minute) => minute.encode()) }
          writeFileSync(join(folder, 'actions.json'), JSON.stringify(file))
        },
      }
    },
  }
}
