/** The process that gets killed: runs the flow with its state beside its files. */
import flow from './kill-flow.ts'

const [folder, workers] = process.argv.slice(2)
await flow.run({ state: `${folder}/state`, workers: Number(workers), commitEvery: '50ms' })
