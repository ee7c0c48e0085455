/**
 * The client alone: reads both streams at once and shows them.
 *
 *   node --conditions=millrace-source examples/concurrent-streaming/client.ts --gateway ws://127.0.0.1:8080 --quick
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Client, connect, type NodeStatus, RemoteError } from '@millrace/remote'
import { epochMs } from './clock.ts'
import type { MlFunctions } from './inference/functions.ts'
import { clientOptions, namesOf, numberOf, readOptions } from './options.ts'
import { DEFAULT_GATEWAY, runPart } from './part.ts'
import type { ModelStatus, SensorStatus } from './records.ts'
import type { Rule } from './sensors/anomalies.ts'
import type { DataFunctions } from './sensors/functions.ts'
import { type Configurations, print, type Report, reportJson, reportText } from './view/report.ts'
import { DataRow, InferenceRow, type StreamRow } from './view/rows.ts'
import { showTable, widthOf } from './view/screen.ts'
import { summaryLines, summaryOf } from './view/summary.ts'

type CaseClient = Client<DataFunctions & MlFunctions>
type Options = ReturnType<typeof readOptions<typeof clientOptions>>

/** The node that offers each stream, in this example. */
const NEEDED = { readings: 'data-node', classifications: 'ml-node' } as const
type StreamName = keyof typeof NEEDED

await runPart(async (stop) => {
  const options = readOptions('client.ts', 'Reads both streams at once and shows them.', clientOptions)
  const report = options.json === true ? reportJson : reportText
  const { gateway = DEFAULT_GATEWAY } = options
  const client = await connect<DataFunctions & MlFunctions>({ gateway, signal: stop })
  try {
    const nodes = await testConnections(client, gateway, numberOf('wait', options.wait) ?? 15, report, stop)
    const data = configure(options)
    report.configured(data)
    return await runStreams(client, gateway, nodes, data, options, stop)
  } finally {
    await client.close()
  }
})

interface Connected {
  readonly sensors: SensorStatus | undefined
  readonly models: ModelStatus | undefined
}

function configure(options: Options): Configurations {
  const quick = options.quick === true
  const number = (
    flag: 'rate' | 'duration' | 'batch' | 'num-images' | 'delay',
    quickly: number,
    fully: number,
  ): number => numberOf(flag, options[flag]) ?? (quick ? quickly : fully)
  const seed = numberOf('seed', options.seed)
  const repeatable = seed === undefined ? {} : { seed }
  const rate = numberOf('anomaly-rate', options['anomaly-rate'])
  const magnitude = numberOf('anomaly-magnitude', options['anomaly-magnitude'])
  const rules = namesOf(options.rules) as readonly Rule[] | undefined
  return {
    data: {
      sensors: namesOf(options.sensors) ?? ['temperature', 'humidity', 'pressure'],
      sampleRate: number('rate', 2, 10),
      duration: number('duration', 20, 60),
      ...(rate === undefined ? {} : { anomalies: { rate, ...(magnitude === undefined ? {} : { magnitude }) } }),
      ...(rules === undefined ? {} : { rules }),
      ...repeatable,
    },
    ml: (options['model-name'] ?? ['mobilenet_v2']).map((modelName) => ({
      modelName,
      batchSize: number('batch', 4, 8),
      numImages: number('num-images', 24, 100),
      delay: number('delay', 0.5, 0.1),
      ...repeatable,
    })),
  }
}

/** Asks the gateway and each node, and waits for nodes that are not there yet. */
async function testConnections(
  client: CaseClient,
  gateway: string,
  withinS: number,
  report: Report,
  stop: AbortSignal,
): Promise<Connected> {
  const start = performance.now()
  const offered = async (): Promise<string[]> => (await client.functions()).map(({ name }) => name)
  let names = await offered()
  report.reached(gateway, performance.now() - start)
  const missing = (): StreamName[] => (Object.keys(NEEDED) as StreamName[]).filter((name) => !names.includes(name))
  if (missing().length > 0 && withinS > 0) {
    report.waiting(missing().map((name) => NEEDED[name]))
    const untilMs = performance.now() + withinS * 1000
    while (missing().length > 0 && performance.now() < untilMs) {
      await sleep(100, undefined, { signal: stop })
      names = await offered()
    }
  }
  const ask = async <T>(stream: StreamName, question: () => Promise<T>): Promise<T | undefined> => {
    const askedMs = performance.now()
    const answer = await question().catch(() => undefined)
    report.node(NEEDED[stream], answer !== undefined, performance.now() - askedMs)
    return answer
  }
  const asking = client.with({ deadline: '5s' }).call
  const sensors = await ask('readings', () => asking.get_sensor_status())
  const models = await ask('classifications', () => asking.get_model_info())
  if (models !== undefined) report.models(models)
  return { sensors, models }
}

/** 0 when every stream came to its end. */
async function runStreams(
  client: CaseClient,
  gateway: string,
  { sensors, models }: Connected,
  { data, ml }: Configurations,
  options: Options,
  stop: AbortSignal,
): Promise<number> {
  const isJson = options.json === true
  const dataRow = new DataRow(sensors?.units ?? {})
  const mlRows = ml.map(({ modelName = '' }) => {
    const details = models?.model_details[modelName]
    const isSimulated = details?.simulated === true
    const what = details?.runs ?? modelName
    return new InferenceRow(modelName, { what, isSimulated }, ml.length)
  })
  const rows: StreamRow[] = [dataRow, ...mlRows]
  const follow = async <T>(row: StreamRow, stream: StreamName, items: AsyncIterable<T>, take: (item: T) => void) => {
    row.begin(performance.now())
    try {
      for await (const item of items) {
        take(item)
        if (isJson) print({ type: 'record', stream: row.name, record: item })
      }
      row.complete(performance.now())
    } catch (error) {
      if (stop.aborted) row.stop(performance.now())
      else row.fail(named(error, stream, gateway), performance.now())
    }
    if (isJson) print({ type: 'status', stream: row.name, status: row.status, ...row.failure })
  }

  const hide = isJson ? () => {} : showTable(rows, process.stdout, process.env)
  const startMs = performance.now()
  await Promise.all([
    follow(dataRow, 'readings', client.stream.readings(data), (record) => dataRow.add(record, epochMs())),
    ...mlRows.map((row, i) =>
      follow(row, 'classifications', client.stream.classifications(ml[i]), (record) => row.add(record)),
    ),
  ])
  const nowMs = performance.now()
  hide()
  if (stop.aborted) return 130
  const nodes = await client.nodes().catch((): readonly NodeStatus[] => [])
  const ended = { rows, nowMs, startMs, nodes }
  if (isJson) print({ type: 'summary', ...summaryOf(ended) })
  else process.stdout.write(`\n${summaryLines(ended, widthOf(process.stdout)).join('\n')}\n`)
  return rows.some(({ status }) => status === 'failed') ? 1 : 0
}

/** A stream that nobody serves says which node it needs, and how to start it. */
function named(error: unknown, stream: StreamName, gateway: string): unknown {
  if (!(error instanceof RemoteError) || error.code !== 'NOT_FOUND') return error
  const node = NEEDED[stream]
  return new RemoteError(
    'NOT_FOUND',
    `no live node offers "${stream}"; it needs ${node}. Start it: node --conditions=millrace-source examples/concurrent-streaming/${node}.ts --gateway ${gateway}`,
    { cause: error },
  )
}
