/** The flags of the four programs; `main.ts` takes those of all four, and hands each its own. */
import { type ParseArgsConfig, parseArgs } from 'node:util'

type Options = NonNullable<ParseArgsConfig['options']>
interface Described {
  readonly [flag: string]: Options[string] & { readonly about: string; readonly value?: string }
}

const gateway = {
  gateway: { type: 'string', value: 'URL', about: 'address of the gateway; default ws://127.0.0.1:8080' },
} as const satisfies Described

const node = {
  ...gateway,
  id: { type: 'string', value: 'ID', about: 'name of this node' },
  seed: { type: 'string', value: 'N', about: 'makes readings, images and simulated predictions repeatable' },
  speed: { type: 'string', value: 'N', about: 'hurries the clock of the nodes; default 1' },
  config: { type: 'string', value: 'FILE', about: 'module with sensors and models of your own' },
} as const satisfies Described

export const gatewayOptions = {
  host: { type: 'string', value: 'HOST', about: 'where the gateway listens; default 127.0.0.1' },
  port: {
    type: 'string',
    value: 'PORT',
    about: 'of the gateway; when it is taken, the next free one; default 8080, of the whole case any free one',
  },
} as const satisfies Described

export const dataNodeOptions = node

export const mlNodeOptions = {
  ...node,
  model: {
    type: 'string',
    multiple: true,
    value: 'NAME=FILE',
    about: 'an ONNX file of yours for a model, e.g. resnet50=FILE',
  },
  labels: { type: 'string', multiple: true, value: 'NAME=FILE', about: 'a file with a class per line for that model' },
  images: { type: 'string', value: 'FOLDER', about: 'pictures to classify; default: drawn ones' },
  simulate: { type: 'boolean', about: 'no model runs; every record says so' },
} as const satisfies Described

export const clientOptions = {
  ...gateway,
  quick: { type: 'boolean', about: '2 Hz for 20 s, 24 images in batches of 4, 0.5 s between them' },
  sensors: { type: 'string', value: 'A,B', about: 'default temperature,humidity,pressure' },
  rate: { type: 'string', value: 'HZ', about: 'samples per second; default 10' },
  duration: { type: 'string', value: 'S', about: 'seconds of samples; default 60' },
  'model-name': { type: 'string', multiple: true, value: 'NAME', about: 'a stream for each; default mobilenet_v2' },
  batch: { type: 'string', value: 'N', about: 'images in a batch; default 8' },
  'num-images': { type: 'string', value: 'N', about: 'default 100' },
  delay: { type: 'string', value: 'S', about: 'seconds between batches; default 0.1' },
  'anomaly-rate': { type: 'string', value: 'SHARE', about: 'readings to be made anomalies, 0 to 1; default 0' },
  'anomaly-magnitude': { type: 'string', value: 'X', about: 'how far off they are; default 10' },
  rules: { type: 'string', value: 'A,B', about: 'of variance, zscore, ewma; default variance' },
  seed: node.seed,
  json: { type: 'boolean', about: 'JSON lines instead of the table' },
  wait: { type: 'string', value: 'S', about: 'how long the client waits for nodes; default 15' },
} as const satisfies Described

const { gateway: _address, id: _name, ...common } = { ...gatewayOptions, ...mlNodeOptions, ...clientOptions }
/** Of all four programs, but for addresses and names: the parts find each other. */
export const mainOptions = common

/** Prints the flags and ends for `--help`, says what is wrong and ends for others that do not exist. */
export function readOptions<const O extends Described>(command: string, about: string, options: O) {
  const all = { ...options, help: { type: 'boolean' } } as const
  try {
    const { values } = parseArgs({ options: all as O & { readonly help: { readonly type: 'boolean' } } })
    if ((values as { readonly help?: boolean }).help !== true) return values
    process.stdout.write(`${about}\n\n  ${command} [flags]\n\n${usage(options)}\n`)
  } catch (error) {
    process.stderr.write(`${(error as Error).message.split('\n')[0]}\n\n${usage(options)}\n`)
    process.exit(2)
  }
  process.exit(0)
}

function usage(options: Described): string {
  const flags = Object.entries(options).map(([name, { value, about }]) => [
    `--${name}${value === undefined ? '' : ` ${value}`}`,
    about,
  ])
  const width = Math.max(...flags.map(([flag]) => flag.length)) + 2
  return flags.map(([flag, about]) => `  ${flag.padEnd(width)}${about}`).join('\n')
}

/** Those of `values` that a program takes, as its arguments. */
export function argumentsFor(options: Described, values: Readonly<Record<string, unknown>>): string[] {
  return Object.keys(options).flatMap((name) => {
    const value = values[name]
    if (value === undefined || value === false) return []
    if (value === true) return [`--${name}`]
    return (Array.isArray(value) ? value : [value]).flatMap((each) => [`--${name}`, String(each)])
  })
}

/** @throws Error for a text that is no number, or none above `above` */
export function numberOf(flag: string, text: string | undefined, above?: number): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value)) throw new Error(`--${flag} is "${text}"; it must be a number.`)
  if (above !== undefined && value <= above) throw new Error(`--${flag} is ${text}; it must be above ${above}.`)
  return value
}

export function namesOf(text: string | undefined): readonly string[] | undefined {
  return text?.split(',').filter((name) => name !== '')
}

/** `NAME=FILE` each. @throws Error for a text without `=` */
export function filesOf(flag: string, texts: readonly string[] = []): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const at = text.indexOf('=')
      if (at < 1) throw new Error(`--${flag} is "${text}"; it must be NAME=FILE.`)
      return [text.slice(0, at), text.slice(at + 1)]
    }),
  )
}
