/** The real command in real processes, on a project in a temporary folder. */
import { existsSync, statSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { Project } from './cli-process.ts'

let project: Project
beforeEach(() => {
  project = new Project()
  project.write('readings.jsonl', rows(40_000))
  project.write('averages.ts', flow())
})
afterEach(() => project.remove())

/** `n` readings, 10 ms of event time apart. */
function rows(n: number): string {
  return Array.from(
    { length: n },
    (_, i) => `${JSON.stringify({ sensor: `s${i % 3}`, at: 1_700_000_000_000 + i * 10, value: i })}\n`,
  ).join('')
}

/** Ten-second averages per sensor; with `spin`, each record costs that many turns of a loop. */
function flow(options: { spin?: number; window?: string; name?: string; follow?: boolean } = {}): string {
  const { spin = 0, window = '10s', name = 'averages', follow = false } = options
  return `
import { count, dataflow, mean, tumbling } from 'millrace'
import { jsonLines } from '@millrace/connectors/file'

interface Reading { sensor: string; at: number; value: number }
const flow = dataflow('${name}')
flow
  .source('readings', jsonLines<Reading>({ path: 'readings.jsonl', follow: ${follow} }), { time: r => r.at, disorder: '2s' })
  .map(r => { let x = 0; for (let i = 0; i < ${spin}; i++) x += Math.sqrt(i); return x < 0 ? { ...r, value: 0 } : r })
  .keyBy(r => r.sensor)
  .window(tumbling('${window}'))
  .aggregate('average', { mean: mean(r => r.value), n: count() })
  .sink('out', jsonLines({ path: 'averages.jsonl' }))
export default flow
`
}

/** Many seconds of work in small batches: long enough to be stopped in the middle. */
const slow = flow({ spin: 60_000 })

describe('millrace run', () => {
  test('runs a flow to its end, tells how it went on stderr and leaves stdout to results', async () => {
    const { code, stdout, stderr } = await project.run('run', 'averages.ts')
    expect(stderr).toMatch(/finished averages after .*: 40,000 records read .*, 120 written/)
    expect(stderr).toContain('every record is accounted for')
    expect(stderr).toMatch(/metrics on http:\/\/127\.0\.0\.1:\d+\/metrics/)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: a pipe gets no escape codes
    expect(stderr).not.toMatch(/\u001b/)
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' })
    expect(project.read('averages.jsonl').trim().split('\n')).toHaveLength(120)
  })

  test('prints the event stream with --json, one object per line, hello first and the end last', async () => {
    const { code, stdout, stderr } = await project.run('run', 'averages.ts', '--json', '--no-metrics')
    const messages = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(messages[0]).toMatchObject({ type: 'hello', contract: '1.0', flow: 'averages' })
    expect(messages.at(-1)).toMatchObject({ type: 'change', kind: 'finished' })
    expect(messages.map((m) => m.seq)).toEqual(messages.map((_, i) => i + 1))
    expect(messages.findLast((m) => m.type === 'balance')).toMatchObject({ in: 40_000, out: 120, remainder: 0 })
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  })

  test('drains and commits on SIGTERM, exits 143, and the next run continues to the same output', async () => {
    const reference = new Project()
    reference.write('readings.jsonl', rows(40_000))
    reference.write('averages.ts', flow())
    const whole = reference.run('run', 'averages.ts', '--no-progress')
    project.write('averages.ts', slow)
    const first = project.start('run', 'averages.ts')
    await first.saying('running averages')
    await sleep(700)
    first.process.kill('SIGTERM')
    const stopped = await first.ended
    expect(stopped.stderr).toMatch(/SIGTERM: committing what was read[\s\S]*stopped averages/)
    expect(stopped.code).toBe(143)
    project.write('averages.ts', flow())
    const second = await project.run('run', 'averages.ts')
    expect(second.stderr).toMatch(/continuing after commit \d+/)
    expect(second.code).toBe(0)
    await whole
    expect(project.read('averages.jsonl')).toBe(reference.read('averages.jsonl'))
    reference.remove()
  }, 90_000)

  test('refuses a second run of the same flow and names the process of the first', async () => {
    project.write('averages.ts', slow)
    const first = project.start('run', 'averages.ts')
    await first.saying('running averages')
    const second = await project.run('run', 'averages.ts')
    expect(second.stderr).toContain('FLOW_RUNNING')
    expect(second.stderr).toContain(`process ${first.process.pid}`)
    expect(second.code).toBe(2)
    first.process.kill('SIGINT')
    expect((await first.ended).code).toBe(130)
  }, 90_000)

  test('runs on two worker threads, and what the module left open does not keep it alive', async () => {
    project.write('averages.ts', `${flow()}\nsetInterval(() => {}, 1000)\n`)
    const { code, stderr } = await project.run('run', 'averages.ts', '--workers', '2', '--no-metrics')
    expect(stderr).toContain('running averages: 5 steps on 2 workers')
    expect(stderr).toMatch(/40,000 records read .*, 120\s+written/)
    expect(stderr).toContain('every record is accounted for')
    expect(code).toBe(0)
  })

  test('a failing callback ends it with 1, the step, the line of the user and the record', async () => {
    project.write(
      'averages.ts',
      flow().replace('let x = 0;', "if (r.value === 7) throw new Error('too hot'); let x = 0;"),
    )
    const { code, stderr } = await project.run('run', 'averages.ts', '--no-metrics')
    expect(stderr).toMatch(/CALLBACK_FAILED {2}step "map#1": too hot/)
    expect(stderr).toContain('readings.jsonl:8')
    expect(stderr).toContain('averages.ts:9')
    expect(code).toBe(1)
  })

  test('serves metrics that say what was counted', async () => {
    project.write('averages.ts', slow)
    const run = project.start('run', 'averages.ts', '--metrics-port', '0')
    await run.saying('/metrics')
    const address = readAddress(project)
    const metrics = await vi.waitFor(
      async () => {
        const text = await (await fetch(`${address}/metrics`)).text()
        expect(text).toMatch(/millrace_step_records_total\{flow="averages",step="readings",direction="in"\} [1-9]/)
        return text
      },
      { timeout: 60_000, interval: 100 },
    )
    expect(metrics).toContain('# TYPE millrace_step_records_total counter')
    expect(await (await fetch(`${address}/readyz`)).text()).toBe('running\n')
    const snapshot = (await (await fetch(`${address}/observe/v1/snapshot`)).json()) as readonly unknown[]
    expect(snapshot[0]).toMatchObject({ type: 'hello', contract: '1.0' })
    expect((await fetch(`${address}/nothing`)).status).toBe(404)
    expect((await fetch(`${address}/metrics`, { method: 'POST' })).status).toBe(405)
    run.process.kill('SIGINT')
    await run.ended
  }, 90_000)
})

function readAddress(of: Project): string {
  return (JSON.parse(of.read('.millrace/averages/control.json')) as { http: string }).http
}

describe('a file that holds no runnable flow is refused with 2', () => {
  test.each([
    ['missing', undefined, 'FILE_MISSING  there is no file case.ts'],
    ['enum', 'enum Color { Red }\nexport default Color', 'FILE_TYPESCRIPT  case.ts:1'],
    [
      'parameter property',
      '\nclass A { constructor(private x: number) {} }\nexport default A',
      'FILE_TYPESCRIPT  case.ts:2',
    ],
    ['syntax', 'const x = (1\nexport default x', 'FILE_SYNTAX  case.ts:2'],
    [
      'exports',
      'export const size = 3, name = "x"',
      'FLOW_MISSING  case.ts exports no dataflow: it exports name (string), size (number)',
    ],
    [
      'import',
      "import { x } from './absent.ts'\nexport default x",
      'FILE_IMPORT  case.ts imports something that is not there',
    ],
    ['throws', 'const x: { y?: { z: 1 } } = {}\nexport default x.y!.z', 'FILE_IMPORT  case.ts:2'],
    [
      'several',
      "import { dataflow } from 'millrace'\nexport const a = dataflow('one'), b = dataflow('two')",
      'FLOW_CHOICE  case.ts exports 2 dataflows: one (export a), two (export b)',
    ],
  ])('%s', async (_, text, message) => {
    if (text !== undefined) project.write('case.ts', text)
    const { code, stdout, stderr } = await project.run('run', 'case.ts')
    expect(stderr).toContain(message)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  })

  test.each([
    [['run'], "missing required argument 'file'"],
    [['rum'], 'Did you mean run?'],
    [['run', 'averages.ts', '--workers', '0'], 'whole number from 1 to 64'],
    [['run', 'averages.ts', '--commit-every', '5'], 'a number and a unit'],
    [['run', 'averages.ts', '--from', 'nonsense'], 'SOURCE=POSITION'],
    [['plan', 'averages.ts', '--json', '--mermaid'], 'PLAN_FORMAT'],
  ])('so is the command line %j', async (args, message) => {
    const { code, stderr } = await project.run(...args)
    expect(stderr).toContain(message)
    expect(code).toBe(2)
  })
})

describe('millrace plan', () => {
  test('shows the stages, as JSON the plan message, as Mermaid a flowchart, and runs nothing', async () => {
    const [text, json, mermaid] = await Promise.all([
      project.run('plan', 'averages.ts', '--workers', '2'),
      project.run('plan', 'averages.ts', '--json'),
      project.run('plan', 'averages.ts', '--mermaid'),
    ])
    expect(text.stdout).toMatch(/^flow averages\n5 steps in 3 stages on 2 workers, plan [0-9a-f]{16}\n/)
    expect(text.stdout).toMatch(/readings +source +file\.jsonLines\(.*event time, disorder 2 s {2}\(averages\.ts:8\)/)
    expect(text.stdout).toMatch(/keyBy#2 -> average +by key, 1000 records between each two workers/)
    const plan = JSON.parse(json.stdout)
    expect(Object.keys(plan)[0]).toBe('contract')
    expect(plan.steps.map((s: { name: string }) => s.name)).toEqual(['readings', 'map#1', 'keyBy#2', 'average', 'out'])
    expect(mermaid.stdout).toMatch(/^flowchart LR\n {2}subgraph stage1/)
    expect(existsSync(path.join(project.folder, '.millrace'))).toBe(false)
  })
})

describe('commands that talk to a running flow', () => {
  test('status shows it, stop --savepoint ends it committed, and the savepoint is listed', async () => {
    project.write('averages.ts', slow)
    const run = project.start('run', 'averages.ts', '--no-metrics')
    await run.saying('running averages')
    const control = path.join(project.folder, '.millrace/averages/control.sock')
    expect(statSync(control).mode & 0o777).toBe(0o600)
    const status = await project.run('status', '--json')
    expect(JSON.parse(status.stdout).flows).toMatchObject([
      { flow: 'averages', state: 'running', pid: run.process.pid },
    ])
    expect(status.code).toBe(0)
    const stop = await project.run('stop', 'averages', '--savepoint', 'v1')
    expect(stop.stdout).toMatch(/^averages stopped after commit \d+, kept as savepoint v1\n$/)
    expect(stop.code).toBe(0)
    const ended = await run.ended
    expect(ended.code).toBe(0)
    expect(existsSync(control)).toBe(false)
    const savepoints = await project.run('savepoints', 'averages')
    expect(savepoints.stdout).toMatch(/averages +v1 +\d+ +2\d\d\d-/)
  }, 90_000)

  test('without a running flow they say so and exit 3', async () => {
    const [stop, status] = await Promise.all([project.run('stop', 'averages'), project.run('status')])
    expect(stop).toMatchObject({ code: 3, stdout: '', stderr: expect.stringContaining('NOT_RUNNING') })
    expect(status).toMatchObject({ code: 3, stdout: expect.stringContaining('no flow has run here') })
  })

  test('a process that was killed leaves nothing that looks alive', async () => {
    project.write('averages.ts', slow)
    const run = project.start('run', 'averages.ts', '--no-metrics')
    await run.saying('running averages')
    run.process.kill('SIGKILL')
    await run.ended
    const status = await project.run('status')
    expect(status).toMatchObject({ code: 3, stdout: expect.stringMatching(/averages +not running/) })
    project.write('averages.ts', flow())
    expect(await project.run('run', 'averages.ts')).toMatchObject({ code: 0 })
  }, 90_000)
})

test('millrace dev starts again when the file is saved, survives a broken save, and keeps its own state', async () => {
  project.write('averages.ts', flow({ follow: true }))
  const dev = project.start('dev', 'averages.ts', '--', '--no-metrics')
  await dev.saying('running averages')
  project.write('averages.ts', `${flow({ follow: true })}\nconst broken = (`)
  await dev.saying('FILE_SYNTAX')
  await dev.saying('waiting for the next save')
  project.write('averages.ts', `${flow({ follow: true })}\n// mended`)
  await dev.saying('continuing after commit')
  expect(existsSync(path.join(project.folder, '.millrace/dev/averages'))).toBe(true)
  expect(existsSync(path.join(project.folder, '.millrace/averages'))).toBe(false)
  dev.process.kill('SIGTERM')
  expect((await dev.ended).code).toBe(130)
}, 90_000)

test('a reader that leaves ends it quietly', async () => {
  const run = project.start('plan', 'averages.ts')
  run.process.stdout.destroy()
  expect(await run.ended).toMatchObject({ code: 0, stderr: '' })
})

test('a second Ctrl-C ends a run at once', async () => {
  project.write('averages.ts', slow.replace('return x', 'while (r.value > 5_000) {} return x'))
  const run = project.start('run', 'averages.ts', '--no-metrics')
  await run.saying('running averages')
  await sleep(1_000)
  run.process.kill('SIGINT')
  await run.saying('SIGINT: committing')
  run.process.kill('SIGINT')
  expect((await run.ended).code).toBe(130)
})

test('help, version and error codes are answers', async () => {
  const [help, version, none] = await Promise.all([project.run('--help'), project.run('--version'), project.run()])
  expect(help).toMatchObject({ code: 0, stdout: expect.stringContaining('Exit codes:') })
  expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
  expect(none.stdout).toBe(help.stdout)
})
