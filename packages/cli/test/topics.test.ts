/** `millrace topics` in real processes. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Ended, Project } from './cli-process.ts'

let project: Project
beforeEach(() => {
  project = new Project()
})
afterEach(() => project.remove())

const topics = (...args: readonly string[]): Promise<Ended> => project.run('topics', ...args)

function produce(lines: string, ...args: readonly string[]): Promise<Ended> {
  const started = project.start('topics', 'produce', ...args)
  // It may end before it has read everything.
  started.process.stdin.on('error', () => {})
  started.process.stdin.end(lines)
  return started.ended
}

describe('millrace topics', () => {
  test('makes a topic, appends lines to it and prints them again, with nothing but results on stdout', async () => {
    expect(await topics('create', 'orders', '--partitions', '2')).toEqual({
      code: 0,
      stdout: 'made topic orders with 2 partitions in .millrace/log\n',
      stderr: '',
    })
    const lines = '{"customer":{"id":"a"},"n":1}\n\n{"customer":{"id":"b"},"n":2}\r\n{"customer":{"id":"a"},"n":3}\n'
    expect(await produce(lines, 'orders', '--key', 'customer.id')).toEqual({
      code: 0,
      stdout: '',
      stderr: 'appended 3 records to topic orders\n',
    })
    const { code, stdout, stderr } = await topics('tail', 'orders', '--from-beginning', '--max', '3', '--json')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const records = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(records.map(({ key, value }) => `${key}${value.n}`).sort()).toEqual(['a1', 'a3', 'b2'])
    const ofA = records.filter(({ key }) => key === 'a')
    expect(new Set(ofA.map(({ partition }) => partition)).size).toBe(1)
    expect(ofA.map(({ value }) => value.n)).toEqual([1, 3])
  })

  test('tail waits for records to come and ends with Ctrl-C', async () => {
    await topics('create', 'orders')
    const tail = project.start('topics', 'tail', 'orders', '--from-beginning')
    await produce('{"n":1}\n', 'orders')
    await tail.saying('{"n":1}')
    tail.process.kill('SIGINT')
    expect(await tail.ended).toEqual({ code: 130, stdout: '{"n":1}\n', stderr: '' })
  })

  test('sets where a group goes on, shows it, and removes records', async () => {
    await topics('create', 'orders')
    await produce('1\n2\n3\n', 'orders')
    expect((await topics('reset', 'orders', '--group', 'billing', '--to', '1')).stdout).toBe(
      'group billing goes on at 1 of topic orders\n',
    )
    const described = JSON.parse((await topics('describe', 'orders', '--json')).stdout)
    expect(described.groups).toEqual([{ group: 'billing', members: 0, partition: 0, committed: 1, lag: 2 }])
    expect((await topics('reset', 'orders', '--records')).stdout).toContain('removed 3 records')
    const { topics: listed } = JSON.parse((await topics('list', '--json')).stdout)
    expect(listed[0].partitions[0]).toMatchObject({ first: 3, next: 3 })
    await topics('delete', 'orders')
    expect(JSON.parse((await topics('list', '--json')).stdout)).toEqual({ topics: [] })
  })

  test('a bad line says which one it is and what was kept', async () => {
    await topics('create', 'orders')
    const { code, stderr } = await produce('{"n":1}\n{"n":\n', 'orders')
    expect(code).toBe(2)
    expect(stderr).toContain('appended 1 record to')
    expect(stderr).toMatch(/TOPICS_LINE\s+line 2 of the input is no JSON/)
  })

  test('a line that no record can hold says which one it is, and those before it are kept', async () => {
    await topics('create', 'orders')
    const huge = JSON.stringify('x'.repeat(17 * 1024 * 1024))
    const { code, stderr } = await produce(`1\n2\n${huge}\n4\n`, 'orders')
    expect(code).toBe(2)
    expect(stderr).toContain('appended 2 records')
    expect(stderr).toMatch(/TOPICS_LINE\s+line 3 of the input takes more than/)
    const { topics: listed } = JSON.parse((await topics('list', '--json')).stdout)
    expect(listed[0].partitions[0].next).toBe(2)
  })

  test('a key is a field of each line, or one for all lines', async () => {
    await topics('create', 'orders')
    expect((await produce('{"n":1}\n', 'orders', '--key', 'customer')).stderr).toContain('in its field "customer"')
    expect((await produce('{"n":1}\n', 'orders', '--fixed-key', 'all')).code).toBe(0)
    expect((await produce('1\n', 'orders', '--fixed-key', 'a', '--key', 'b')).stderr).toContain('TOPICS_KEY')
    const { stdout } = await topics('tail', 'orders', '--from-beginning', '--max', '1', '--json')
    expect(JSON.parse(stdout)).toMatchObject({ key: 'all', value: { n: 1 } })
  })

  test('tail and reset begin at a time', async () => {
    await topics('create', 'orders')
    await produce('1\n', 'orders')
    await new Promise((resolve) => setTimeout(resolve, 20))
    const between = new Date().toISOString()
    await produce('2\n', 'orders')
    const tail = (...args: readonly string[]) => topics('tail', 'orders', '--max', '1', ...args)
    expect((await tail('--since', between)).stdout).toBe('2\n')
    expect((await tail('--since', '1h')).stdout).toBe('1\n')
    expect((await tail('--since', 'soon')).code).toBe(2)
    expect((await tail('--since', '1h', '--from-beginning')).stderr).toContain('TOPICS_TAIL')
    const { stdout } = await topics('reset', 'orders', '--group', 'g', '--to-time', between)
    expect(stdout).toBe(`group g goes on at ${between} of topic orders\n`)
    const { groups } = JSON.parse((await topics('describe', 'orders', '--json')).stdout)
    expect(groups).toMatchObject([{ committed: 1, lag: 1 }])
    expect((await topics('reset', 'orders', '--group', 'g', '--to', '0', '--to-time', '1h')).stderr).toContain(
      'not both',
    )
  })

  test('a reader of the output that goes away ends tail quietly at the next record', async () => {
    await topics('create', 'orders')
    await produce('1\n', 'orders')
    const tail = project.start('topics', 'tail', 'orders', '--from-beginning')
    await tail.saying('1\n')
    tail.process.stdout.destroy()
    await produce('2\n3\n', 'orders')
    expect(await tail.ended).toMatchObject({ code: 0, stderr: '' })
  })

  test('topics and runs of one folder share a log, or that of --log', async () => {
    project.write(
      'copy.ts',
      `import { dataflow } from 'millrace'
import { logTopic } from '@millrace/connectors/log'
const flow = dataflow('copy')
flow.source('in', logTopic<number>({ topic: 'in', follow: false }), { time: 'processing' }).sink('out', logTopic({ topic: 'out' }))
export default flow
`,
    )
    for (const [n, log] of [[], ['--log', 'other']].entries()) {
      await topics('create', 'in', ...log)
      await produce(`${n}\n`, 'in', ...log)
      const state = ['--state', `state-${n}`, '--no-metrics', '--no-progress']
      expect(await project.run('run', 'copy.ts', ...state, ...log)).toMatchObject({ code: 0 })
      const { stdout } = await topics('tail', 'out', '--from-beginning', '--max', '1', ...log)
      expect(stdout).toBe(`${n}\n`)
    }
  })

  test('a folder that is none is refused by name', async () => {
    project.write('file', '')
    for (const log of ['file', 'file/log', '/proc/none']) {
      const { code, stderr } = await topics('create', 'x', '--log', log)
      expect(code).toBe(1)
      expect(stderr).toContain('LOG_FOLDER')
    }
  })

  test('a log that is not there is not made by looking at it', async () => {
    const { code, stderr } = await topics('list', '--log', 'nowhere')
    expect(code).toBe(1)
    expect(stderr).toContain('LOG_MISSING')
    expect((await topics('tail', 'x', '--log', 'nowhere')).stderr).toContain('LOG_MISSING')
    expect((await topics('reset', 'x', '--to', 'somewhere')).code).toBe(2)
  })
})
