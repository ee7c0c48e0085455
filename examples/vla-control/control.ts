/**
 * Vision, language and sensors become actions: `millrace run examples/vla-control/control.ts`. It needs no camera, no
 * microphone and no service; settings.ts says how to give it what you have. Actions go to the standard output, one line
 * each: `<time> <action>`.
 */
import { dataflow } from 'millrace'
import { rules } from './action-generator.ts'
import { actionSink } from './action-sink.ts'
import { describeControl } from './flow.ts'
import { chooseInputs } from './inputs.ts'
import { settingsOf } from './settings.ts'

const settings = settingsOf(process.env)
const inputs = chooseInputs(settings)
const flow = dataflow('vla-control')
describeControl(flow, inputs, {
  generator: rules,
  wait: settings.wait,
  actions: actionSink({ about: `${inputs.about}. Actions by ${rules.kind}, not by a model`, pool: inputs.pool }),
})

export default flow
