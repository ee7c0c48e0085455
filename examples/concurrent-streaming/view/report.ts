/** What the client says before the table, for people or as JSON lines. */
import type { InferenceInput } from '../inference/inference-stream.ts'
import type { ModelStatus } from '../records.ts'
import type { SensorInput } from '../sensors/sensor-stream.ts'

export interface Configurations {
  readonly data: SensorInput
  readonly ml: readonly InferenceInput[]
}

export interface Report {
  reached(gateway: string, ms: number): void
  waiting(nodes: readonly string[]): void
  node(id: string, isConnected: boolean, ms: number): void
  models(status: ModelStatus): void
  configured(configurations: Configurations): void
}

export function print(line: unknown): void {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

export const reportJson: Report = {
  reached: (gateway, ms) => print({ type: 'connected', gateway, ms }),
  waiting: (nodes) => print({ type: 'waiting', nodes }),
  node: (id, connected, ms) => print({ type: 'node', id, connected, ms }),
  models: ({ available_models, model_details }) => print({ type: 'models', available_models, model_details }),
  configured: ({ data, ml }) => print({ type: 'configuration', data, ml }),
}

export const reportText: Report = {
  reached: (gateway, ms) => text('gateway', `${gateway} answers in ${ms.toFixed(1)} ms`),
  waiting: (nodes) => text('waiting', `for ${nodes.join(' and ')}`),
  node: (id, connected, ms) => text(id, connected ? `connected, answers in ${ms.toFixed(1)} ms` : 'not connected'),
  models({ model_details }) {
    const models = Object.entries(model_details).map(([name, { runs, runner, provider, simulated }]) => {
      if (simulated === true) return `${name} (simulated)`
      return name === runs ? `${name} (${runner}, ${provider})` : `${name} (runs ${runs})`
    })
    text('models', models.join(', '))
  },
  configured({ data, ml }) {
    const { sensors = [], sampleRate, duration, seed } = data
    text(
      'data',
      `${sensors.join(', ')}; ${sampleRate} Hz for ${duration} s${seed === undefined ? '' : `; seed ${seed}`}`,
    )
    for (const { modelName, batchSize, numImages, delay } of ml)
      text('ml', `${modelName}; ${numImages} images in batches of ${batchSize}, ${delay} s between them`)
    process.stdout.write('\n')
  },
}

function text(name: string, value: string): void {
  process.stdout.write(`${name.padEnd(10)} ${value}\n`)
}
