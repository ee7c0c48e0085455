// Who may import whom. `layering.test.ts` holds the tree to these tables; change them together with
// docs/ARCHITECTURE.md, never to let one import through.

/** Package folder -> packages it may import. Siblings do not import each other. */
export const packageLayers: Readonly<Record<string, readonly string[]>> = {
  core: [],
  connectors: ['millrace'],
  chunks: ['millrace'],
  remote: ['millrace'],
  inference: ['millrace'],
  console: ['millrace/observe'],
  cli: [
    'millrace',
    '@millrace/connectors',
    '@millrace/chunks',
    '@millrace/remote',
    '@millrace/inference',
    '@millrace/console',
  ],
}

/** Packages that may import nothing from outside but Node's own modules. */
export const withoutDependencies = ['core']

/** Lie beside sources, serve tests only, and are no part of a package: they may import what tests may. */
export const forTestsOnly = ['packages/core/src/testing/cases.ts']

const contracts = ['errors', 'time', 'batch', 'runtime/ports', 'observe', 'connector', 'state', 'graph']
const execution = ['runtime', 'checkpoint', ...contracts]

/**
 * Inside core: area -> areas it may import besides itself. An area is a folder or file of packages/core/src without
 * its extension; the longest name that fits counts, so `runtime/ports` is not `runtime`.
 * Read from the bottom: each line may use what stands above it, with one exception. Operators and runtime stand side
 * by side and meet only in the contract, graph/operator.ts: operators never know how they are run, the runtime never
 * knows what it runs.
 */
export const coreLayers: Readonly<Record<string, readonly string[]>> = {
  errors: [],
  time: ['errors'],
  capacity: ['errors'],
  batch: ['errors', 'time'],
  'runtime/ports': ['errors', 'time', 'batch'],
  observe: ['errors', 'time'],
  connector: ['errors', 'time', 'batch', 'runtime/ports'],
  state: ['errors', 'time', 'batch'],
  graph: ['errors', 'time', 'batch', 'connector', 'state'],
  window: ['errors', 'time', 'batch', 'connector', 'state', 'graph'],
  operators: ['errors', 'time', 'batch', 'state', 'graph', 'window', 'connector'],
  checkpoint: execution,
  runtime: execution,
  stream: ['operators', 'window', ...contracts],
  dataflow: ['stream', 'operators', 'window', ...execution],
  testing: ['index', 'stream', 'dataflow', 'operators', 'window', ...execution],
  host: ['dataflow', ...execution],
  index: ['capacity', 'stream', 'dataflow', 'operators', 'window', ...execution],
}

/** Time, randomness and timers are passed in (style rule 11). Only these files of core take them from the machine. */
export const edgeFiles = [
  'runtime/node-ports',
  // Their clocks are virtual; they wait for promises of the user's functions, which only real turns of the loop settle.
  'testing/operator-host',
  'testing/sim-scheduler',
]

/** What only edge files may name. */
export const ambient = [
  'Date.now',
  'Math.random',
  'performance.now',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'crypto.randomUUID',
]
