/**
 * The data node alone; it waits for its gateway:
 *
 *   node --conditions=millrace-source examples/concurrent-streaming/data-node.ts --gateway ws://127.0.0.1:8080
 */
import { realClock } from './clock.ts'
import { newNode, serve } from './node-part.ts'
import { dataNodeOptions, numberOf, readOptions } from './options.ts'
import { DEFAULT_GATEWAY, loadConfig, runPart } from './part.ts'
import { SENSORS } from './sensors/config.ts'
import { dataFunctions, registerData } from './sensors/functions.ts'

await runPart(async (stop) => {
  const values = readOptions('data-node.ts', 'The node of the sensors.', dataNodeOptions)
  const { gateway = DEFAULT_GATEWAY, id = 'data-node' } = values
  const { sensors } = await loadConfig(values.config)
  const functions = dataFunctions({
    id,
    sensors: { ...SENSORS, ...sensors },
    clock: realClock(numberOf('speed', values.speed, 0)),
    seed: numberOf('seed', values.seed),
  })
  await serve(registerData(newNode(id, gateway), functions), gateway, stop)
})
