/**
 * Sensors and models of one's own, by one entry each:
 *
 *   npm run -s concurrent-streaming -- --quick --config examples/concurrent-streaming/own-config.ts \
 *     --sensors temperature,tank --model-name brightness
 */
import type { OwnConfig } from './part.ts'

const config: OwnConfig = {
  sensors: {
    tank: { unit: 'l', base: 0, read: ({ seconds }) => 100 + 5 * Math.sin(seconds / 10) },
    /** A device that breaks. */
    flaky: {
      unit: 'V',
      base: 0,
      read({ sampleId }) {
        if (sampleId > 5) throw new Error('the wire is loose')
        return 5
      },
    },
  },
  models: {
    brightness: {
      module: new URL('./inference/brightness.ts', import.meta.url),
      simulatedSeconds: 0.01,
      classes: 5,
      inputSize: [16, 16],
    },
  },
}

export default config
