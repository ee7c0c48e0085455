/** `millrace capacity` in real processes. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Ended, Project } from './cli-process.ts'

let project: Project
beforeEach(() => {
  project = new Project()
})
afterEach(() => project.remove())

const capacity = (line: string): Promise<Ended> => project.run('capacity', ...line.split(' '))

describe('millrace capacity', () => {
  test('prints batch beside stream, and the limits, where the step keeps up', async () => {
    expect(await capacity('--interval 0.1 --process 0.05 --points 100 --size 1MB --inflight 5')).toEqual({
      code: 0,
      stdout: `100 points of 1 MB, one every 0.1 s, 0.05 s of work on each, 5 in flight

              BATCH   STREAM
latency        15 s   0.05 s   99.67 % less
throughput   6.67/s     10/s      1.5 times
memory       100 MB     5 MB      95 % less

The step keeps up: it works 50 % of the time, and no queue grows.

FOR MANY POINTS (dt: interval, p: process)
latency reduction   towards 100 %, from dt/(dt+p) = 66.67 % for one point
throughput gain     1 + p/dt = 1.5
memory reduction    towards 100 %, with 5 in flight
`,
      stderr: '',
    })
  })

  test('says which queue grows and what to do where the step falls behind', async () => {
    const { code, stdout } = await capacity('--interval 50ms --process 100ms --points 100 --size 1MB --inflight 20')
    expect(code).toBe(0)
    const text = stdout.replaceAll(/\n {2}/g, ' ')
    expect(text).toContain('latency (last)     15 s   5.05 s   66.33 % less')
    expect(text).toContain('throughput       6.67/s     10/s      1.5 times')
    expect(text).toContain('memory           100 MB    20 MB      80 % less')
    expect(text).toContain('The step falls behind: the queue in front of it grows by 10 points/s.')
    expect(text).toContain('20 in flight are full after 1.95 s.')
    expect(text).toContain('All of them need --inflight 51: 51 MB.')
    expect(text).toContain('To keep up: 2 workers')
    expect(text).toContain('latency reduction   towards 2dt/(dt+p) = 66.67 %, from dt/(dt+p) = 33.33 % for one point')
    expect(text).toContain('throughput gain     1 + dt/p = 1.5')
  })

  test('prints one JSON document with --json', async () => {
    const { code, stdout, stderr } = await capacity('--interval 1 --process 0.5 --points 10 --size 1KiB --json')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const document = JSON.parse(stdout)
    expect(document.given).toEqual({ points: 10, intervalMs: 1000, processMs: 500, sizeBytes: 1024 })
    expect(document.batch.latencyMs).toBe(15_000)
    expect(document.stream).toMatchObject({ latencyMs: 500, inFlight: 1, memoryBytes: 1024, canKeepUp: true })
    expect(Object.keys(document)).toEqual(['given', 'batch', 'stream', 'comparison', 'limits'])
  })

  test('a backlog gains nothing, and says so', async () => {
    const { stdout } = await capacity('--interval 0 --process 2ms --points 1000000 --size 300B')
    expect(stdout).toContain('latency (last)   2,000 s   2,000 s   the same')
    expect(stdout).toContain('all points are in the queue in front of it from the')
  })

  test.each([
    ['--interval 0.1 --process 0.05 --points 100', "required option '--size <bytes>' not specified"],
    ['--interval ten --process 0.05 --points 100 --size 1MB', 'It must be seconds (0.05) or a number and a unit'],
    ['--interval -1 --process 0.05 --points 100 --size 1MB', 'It must be seconds (0.05) or a number and a unit'],
    ['--interval 2h --process 0.05 --points 100 --size 1MB', 'an hour at most'],
    ['--interval 0.1 --process 0.05 --points 0 --size 1MB', 'It must be a whole number from 1 to 1000000000.'],
    ['--interval 0.1 --process 0.05 --points 100 --size 1ib', 'It must be whole bytes'],
    ['--interval 0.1 --process 0.05 --points 100 --size 0.5B', 'It must be whole bytes'],
    [
      '--interval 0.1 --process 0.05 --points 3 --size 1MB --inflight 5',
      'CAPACITY_RANGE  inFlight is 5; it must be 1 to 3',
    ],
    ['--interval 0 --process 0 --points 3 --size 1MB', 'no time passes'],
  ])('refuses %s', async (line, message) => {
    const { code, stdout, stderr } = await capacity(line)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(message)
  })
})
