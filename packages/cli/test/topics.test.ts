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
    expect(stderr).toContain('appended 1 records')
    expect(stderr).toMatch(/TOPICS_LINE\s+line 2 of the input is no JSON/)
  })

  test('a log that is not there is not made by looking at it', async () => {
    const { code, stderr } = await topics('list', '--log', 'nowhere')
    expect(code).toBe(1)
    expect(stderr).toContain('LOG_MISSING')
    expect((await topics('tail', 'x', '--log', 'nowhere')).stderr).toContain('LOG_MISSING')
    expect((await topics('reset', 'x', '--to', 'somewhere')).code).toBe(2)
  })
})
