/**
 * The ML node alone; it loads its models, then waits for its gateway:
 *
 *   node --conditions=millrace-source examples/concurrent-streaming/ml-node.ts --gateway ws://127.0.0.1:8080
 */
import { realClock } from './clock.ts'
import { MODELS } from './inference/config.ts'
import { mlFunctions, registerMl } from './inference/functions.ts'
import { drawnImage, folderImages } from './inference/images.ts'
import { loadModels } from './inference/models.ts'
import { newNode, serve } from './node-part.ts'
import { filesOf, mlNodeOptions, numberOf, readOptions } from './options.ts'
import { DEFAULT_GATEWAY, loadConfig, runPart, say } from './part.ts'

await runPart(async (stop) => {
  const values = readOptions('ml-node.ts', 'The node of the models.', mlNodeOptions)
  const { gateway = DEFAULT_GATEWAY, id = 'ml-node' } = values
  const { models: own } = await loadConfig(values.config)
  const models = await loadModels(
    { ...MODELS, ...own },
    {
      files: filesOf('model', values.model),
      labels: filesOf('labels', values.labels),
      simulate: values.simulate === true,
      log: (message) => say(`${id}: ${message}`),
    },
  )
  for (const [name, { runner, info }] of models) {
    const what = runner === 'simulated' ? 'simulated' : `${info.name} (${runner}, ${info.task}, on ${info.provider})`
    say(`${id}: ${name} runs ${what}`)
  }
  const functions = mlFunctions({
    id,
    models,
    images: values.images === undefined ? drawnImage : await folderImages(values.images),
    clock: realClock(numberOf('speed', values.speed, 0)),
    seed: numberOf('seed', values.seed),
  })
  await serve(registerMl(newNode(id, gateway), functions), gateway, stop)
})
