/** For the tests of flows: runs the module as users do, and says when the run has ended; the process must end by itself. */
import flow from './flow-module.ts'

const [state, workers] = process.argv.slice(2)
await flow.run({ state, workers: Number(workers), commitEvery: '20ms' })
process.stdout.write('run ended\n')
