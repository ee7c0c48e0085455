/** Calls are typed by the functions that nodes register, and by contracts; what does not fit does not compile. */
import {
  type CallContext,
  type Client,
  computeNode,
  connect,
  defineContract,
  type RemoteStream,
  streamOf,
} from '@millrace/remote'
import * as v from 'valibot'
import { expectTypeOf, test } from 'vitest'
import { z } from 'zod'

interface SensorConfig {
  readonly sensors: readonly string[]
  readonly sampleRate: number
  readonly duration: number
}

interface Reading {
  readonly sensor: string
  readonly value: number
}

function overloaded(text: string): string
function overloaded(n: number): number
function overloaded(value: unknown): unknown {
  return value
}

const functions = {
  add: (a: number, b: number) => a + b,
  later: async (text: string, times = 2) => text.repeat(times),
  optional: (a: string, b?: number) => `${a}${b}`,
  echo: (value: unknown) => value,
  // biome-ignore lint/suspicious/noExplicitAny: what becomes of it is tested
  untyped: (value: any) => value,
  list: (n: number) => [n, n],
  nothing() {},
  *gen(n: number) {
    for (let i = 0; i < n; i++) yield i
  },
  async *readings(config: SensorConfig, ctx: CallContext): AsyncGenerator<Reading> {
    for (const sensor of config.sensors) if (!ctx.signal.aborted) yield { sensor, value: 1 }
  },
  async *maybeContext(n: number, ctx?: CallContext) {
    yield { n, node: ctx?.node }
  },
  optionalThenContext: (a: string, b?: number, _ctx?: CallContext) => `${a}${b}`,
  onlyContext: (ctx: CallContext) => ctx.node,
  web: (n: number) => new ReadableStream<string>({ start: (c) => c.enqueue(String(n)) }),
  laterStream: async (n: number) => functions.gen(n),
  async sum(numbers: AsyncIterable<number>, factor = 1) {
    let sum = 0
    for await (const n of numbers) sum += n * factor
    return sum
  },
  async *doubled(numbers: AsyncIterable<number>) {
    for await (const n of numbers) yield n * 2
  },
  takesWebStream: (_stream: ReadableStream<number>) => 0,
  overloaded,
  version: '1.0',
}
declare const client: Client<typeof functions>
declare const numbers: AsyncGenerator<number>

test('calls have the arguments and results of the functions', () => {
  expectTypeOf(client.call.add).toEqualTypeOf<(a: number, b: number) => Promise<number>>()
  expectTypeOf(client.call.later).toEqualTypeOf<(text: string, times?: number) => Promise<string>>()
  expectTypeOf(client.call.optional).toEqualTypeOf<(a: string, b?: number) => Promise<string>>()
  expectTypeOf(client.call.echo('x')).toEqualTypeOf<Promise<unknown>>()
  expectTypeOf(client.call.untyped).parameter(0).toBeAny()
  expectTypeOf(client.call.list(1)).toEqualTypeOf<Promise<number[]>>()
  expectTypeOf(client.call.nothing()).toEqualTypeOf<Promise<void>>()
  // A stream that is called comes as a list.
  expectTypeOf(client.call.gen(3)).toEqualTypeOf<Promise<number[]>>()
})

test('streams have the items of generators, of Web streams, and of promises of either', () => {
  expectTypeOf(client.stream.gen(3)).toEqualTypeOf<RemoteStream<number>>()
  expectTypeOf(client.stream.web(3)).toEqualTypeOf<RemoteStream<string>>()
  expectTypeOf(client.stream.laterStream(3)).toEqualTypeOf<RemoteStream<number>>()
  expectTypeOf(client.stream.add(1, 2)).toEqualTypeOf<RemoteStream<number>>()
  expectTypeOf(client.stream.list(1)).toEqualTypeOf<RemoteStream<number[]>>()
})

test('the context that the node adds is no parameter of the client', () => {
  expectTypeOf(client.stream.readings).toEqualTypeOf<(config: SensorConfig) => RemoteStream<Reading>>()
  expectTypeOf(client.stream.maybeContext).toEqualTypeOf<
    (n: number) => RemoteStream<{ n: number; node: string | undefined }>
  >()
  expectTypeOf(client.call.optionalThenContext).toEqualTypeOf<(a: string, b?: number) => Promise<string>>()
  expectTypeOf(client.call.onlyContext).parameters.toEqualTypeOf<[]>()
})

test('a parameter that is a stream takes any async source', () => {
  expectTypeOf(client.call.sum(numbers, 2)).toEqualTypeOf<Promise<number>>()
  expectTypeOf(client.call.sum(new ReadableStream<number>())).toEqualTypeOf<Promise<number>>()
  expectTypeOf(client.stream.doubled(numbers)).toEqualTypeOf<RemoteStream<number>>()
  // @ts-expect-error items of another type
  client.call.sum(new ReadableStream<string>())
  // @ts-expect-error a list is no stream
  client.call.sum([1, 2])
  // @ts-expect-error a node receives an AsyncIterable, which this function does not take
  client.call.takesWebStream(new ReadableStream<number>())
})

test('of overloads the last counts', () => {
  expectTypeOf(client.call.overloaded).toEqualTypeOf<(n: number) => Promise<number>>()
})

test('what does not fit does not compile', () => {
  // @ts-expect-error a string is no number
  client.call.add('1', 2)
  // @ts-expect-error an argument is missing
  client.call.add(1)
  // @ts-expect-error one argument too many
  client.call.add(1, 2, 3)
  // @ts-expect-error no such function
  client.call.subtract(1, 2)
  // @ts-expect-error not a function
  client.call.version()
  // @ts-expect-error a field is missing
  client.stream.readings({ sensors: [], sampleRate: 1 })
  // @ts-expect-error the context is the node's to give
  client.call.onlyContext({} as CallContext)
})

test('the program of the design compiles as it stands', () => {
  ;async () => {
    const gateway = 'ws://127.0.0.1:8080'
    const token = 'a token of some length'
    const node = computeNode({ gateway, id: 'data-node', tags: { gpu: false } })
    node.register('readings', async function* (config: SensorConfig, ctx) {
      expectTypeOf(ctx).toEqualTypeOf<CallContext>()
      yield { sensor: config.sensors[0], value: ctx.remainingMs() }
    })
    const client = await connect<typeof functions>({ gateway, token })
    const sum = await client.call.add(1, 2)
    expectTypeOf(sum).toEqualTypeOf<number>()
    for await (const r of client.stream.readings({ sensors: ['temperature'], sampleRate: 10, duration: 60 })) {
      expectTypeOf(r).toEqualTypeOf<Reading>()
    }
  }
})

const contract = defineContract({
  add: { input: [z.number(), z.number()], output: z.number() },
  greet: { input: [z.string(), z.string().optional()], output: z.string() },
  readings: { input: z.object({ sensor: z.string(), rate: z.number().default(10) }), item: z.object({ at: z.date() }) },
  parsed: { input: z.string().transform((text) => text.length), output: z.number().transform(String) },
  sum: { input: [streamOf(z.number())], output: z.number() },
  now: {},
  valibot: { input: v.object({ n: v.number() }), output: v.array(v.number()) },
})
declare const contracted: Client<typeof contract>

test('a contract types the client by what its schemas take and give', () => {
  expectTypeOf(contracted.call.add).parameters.toEqualTypeOf<[number, number]>()
  expectTypeOf(contracted.call.add(1, 2)).toEqualTypeOf<Promise<number>>()
  expectTypeOf(contracted.call.greet).parameters.toEqualTypeOf<[string, (string | undefined)?]>()
  expectTypeOf(contracted.stream.readings({ sensor: 'a' })).toEqualTypeOf<RemoteStream<{ at: Date }>>()
  expectTypeOf(contracted.call.parsed('four')).toEqualTypeOf<Promise<string>>()
  expectTypeOf(contracted.call.sum(numbers)).toEqualTypeOf<Promise<number>>()
  expectTypeOf(contracted.call.now()).toEqualTypeOf<Promise<unknown>>()
  expectTypeOf(contracted.call.valibot({ n: 1 })).toEqualTypeOf<Promise<number[]>>()
  // @ts-expect-error a string is no number
  contracted.call.add('1', 2)
  // @ts-expect-error a field is missing
  contracted.stream.readings({ rate: 1 })
  // @ts-expect-error not in the contract
  contracted.call.subtract(1, 2)
})

test('connect infers the client from the contract it is given', () => {
  ;async () => {
    const client = await connect({ gateway: 'ws://127.0.0.1:8080', contract })
    expectTypeOf(client).toEqualTypeOf<Client<typeof contract>>()
    const same = await connect<typeof contract>({ gateway: 'ws://127.0.0.1:8080' })
    expectTypeOf(same.call.add(1, 2)).toEqualTypeOf<Promise<number>>()
  }
})

test('an implementation must fit its contract', () => {
  const node = computeNode({ gateway: 'ws://127.0.0.1:8080', id: 'n1' })
  const fitting = {
    add: (a: number, b: number) => a + b,
    greet: (name: string, word = 'Hello') => `${word} ${name}`,
    readings: async function* ({ rate }: { rate: number }, ctx: CallContext) {
      if (!ctx.signal.aborted) yield { at: new Date(rate) }
    },
    parsed: (length: number) => length,
    sum: async (numbers: AsyncIterable<number>) => {
      let sum = 0
      for await (const n of numbers) sum += n
      return sum
    },
    now: () => Date.now(),
    valibot: ({ n }: { n: number }) => [n],
  }
  node.implement(contract, fitting)
  node.implement(defineContract({ add: { input: [z.number(), z.number()], output: z.number() } }), {
    // Parameters are inferred.
    add: (a, b, ctx) => {
      expectTypeOf(a).toEqualTypeOf<number>()
      expectTypeOf(ctx).toEqualTypeOf<CallContext>()
      return a + b
    },
  })
  // @ts-expect-error the result is no number
  node.implement(contract, { ...fitting, add: (a: number, b: number) => `${a + b}` })
  // @ts-expect-error a parameter of another type
  node.implement(contract, { ...fitting, parsed: (text: string) => text.length })
  // @ts-expect-error a value is no stream
  node.implement(contract, { ...fitting, readings: () => ({ at: new Date(0) }) })
  const { add: _add, ...rest } = fitting
  // @ts-expect-error a function is missing
  node.implement(contract, rest)
})
