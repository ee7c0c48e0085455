/** The example as it is: real threads, real time, for two seconds. Times are bounded with a slack of five. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { findFfmpeg } from '@millrace/connectors/video'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { lampAt } from './camera.ts'

const folder = mkdtempSync(join(tmpdir(), 'millrace-vla-'))
const cli = fileURLToPath(new URL('../../packages/core/bin/millrace.js', import.meta.url))
const program = (name: string) => fileURLToPath(new URL(name, import.meta.url))
// A test starts the program up to five times.
vi.setConfig({ testTimeout: 200_000 })
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const SECONDS = 2
/** For one start of the program, on a machine with much else to do. */
const LIMIT_MS = 50_000
const FRAMES = 30 * SECONDS

describe('the control loop, run by millrace run', () => {
  for (const workers of [1, 2]) {
    it(`answers every frame with the action of its own time, with ${workers} worker(s), and says what it is`, async () => {
      const { lines, errors } = await run(['run', program('control.ts'), '--workers', `${workers}`], {
        VLA_SECONDS: `${SECONDS}`,
      })
      expect(errors).toContain('vision: a drawn scene, no camera')
      expect(errors).toContain('Actions by rules, not by a model')
      const { framesIn, dropped, answered, p50, points } = summaryOf(errors)
      expect(framesIn + dropped).toBe(FRAMES)
      expect(answered).toBeGreaterThanOrEqual(framesIn - 1)
      const actions = lines.map(actionOf).filter(({ action }) => !action.startsWith('hold: nothing to act on'))
      expect(actions.length).toBe(answered)
      for (let i = 1; i < actions.length; i++) expect(actions[i].at).toBeGreaterThan(actions[i - 1].at)
      checkMoves(actions)
      expect(p50).toBeLessThan(5 * 50)
      // 30 + 1000 a second are due; a loaded machine may start slowly.
      expect(points).toBeGreaterThan(1000 / 5)
    })
  }
})

describe('the control loop over topics', () => {
  it('gives the same actions from topics as often as it is run, with one worker or two; the flow is the same', async () => {
    const log = join(folder, 'log')
    await run(['run', program('perceive.ts')], { VLA_SECONDS: `${SECONDS}`, VLA_TOPICS: log })
    const replay = (name: string, workers: number) =>
      run(['run', program('control.ts'), '--state', join(folder, name), '--workers', `${workers}`], {
        VLA_LOG: log,
        VLA_FOLLOW: 'no',
        VLA_WAIT: 'watermark',
      })
    const first = await replay('first', 1)
    expect(first.errors).toContain('features and no pixels')
    expect(first.lines.length).toBeGreaterThan(FRAMES / 2)
    checkMoves(first.lines.map(actionOf))
    expect((await replay('second', 2)).lines).toEqual(first.lines)
    const plans = await Promise.all([{}, { VLA_LOG: log }].map((env) => run(['plan', program('control.ts')], env)))
    const steps = plans.map(({ lines }) => lines.join('\n').match(/\b(look|pose|fuse|act|actions)\b/g))
    expect(steps[0]).toEqual(steps[1])
  })
})

describe('the control loop as a program', () => {
  it.skipIf(findFfmpeg() === undefined)(
    'looks at a video through ffmpeg, listens to its standard input, and says so',
    async () => {
      const clip = join(folder, 'lamp.mkv')
      await makeClip(clip)
      const { lines, errors } = await start(
        [program('main.ts'), '--camera', clip, '--language', 'stdin', '--seconds', '2'],
        {},
        'follow\n',
      )
      expect(errors).toContain(`vision: ${clip}, decoded by ffmpeg`)
      const moves = lines.map(actionOf).filter(({ action }) => action.startsWith('move'))
      expect(moves.length).toBeGreaterThan(0)
      // The lamp of the clip is at three quarters of the width, in the middle of the height.
      for (const { dx, dy } of moves.map(({ action }) => moveOf(action))) {
        expect(dx).toBeCloseTo(0.25 * 0.5, 1)
        expect(Math.abs(dy)).toBeLessThan(0.02)
      }
    },
  )
})

describe('the control loop listening to a WebSocket', () => {
  it('takes orders from clients', async () => {
    const port = await freePort()
    const args = ['run', program('control.ts')]
    const env = { VLA_SECONDS: `${SECONDS}`, VLA_LANGUAGE: `ws:${port}` }
    const running = run(args, env)
    const client = await connected(`ws://127.0.0.1:${port}`)
    client.send(JSON.stringify({ text: 'follow' }))
    const { lines, errors } = await running
    client.close()
    expect(errors).toContain(`language: ws:${port}`)
    const actions = lines.map(actionOf).map(({ action }) => action.split(' ')[0])
    expect(actions.filter((action) => action === 'move').length).toBeGreaterThan(0)
    // What was said holds to the end.
    expect(actions.lastIndexOf('hold:')).toBeLessThan(actions.indexOf('move'))
  })
})

interface Printed {
  readonly at: number
  readonly action: string
}

function actionOf(line: string): Printed {
  const found = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (\S.*)$/.exec(line)
  if (found === null) throw new Error(`no action: ${line}`)
  return { at: Date.parse(found[1]), action: found[2] }
}

function moveOf(action: string) {
  const [, dx, dy] = /^move ([+-]\d\.\d{3}) ([+-]\d\.\d{3})$/.exec(action) ?? []
  return { dx: Number(dx), dy: Number(dy) }
}

/** Every move goes to where the lamp was in the frame of its time, at a speed that had been asked for. */
function checkMoves(actions: readonly Printed[]): void {
  const moves = actions.filter(({ action }) => action.startsWith('move'))
  expect(moves.length).toBeGreaterThan(FRAMES / 3)
  // The first frames may have been dropped, so what number the first action has is found by what fits.
  const misfits = Array.from({ length: 30 }, (_, first) => {
    return moves.filter(({ at, action }) => {
      const lamp = lampAt(first + Math.round(((at - actions[0].at) * 30) / 1000))
      const { dx, dy } = moveOf(action)
      return ![0.25, 0.5].some((speed) => {
        return (
          lamp !== undefined && Math.abs(dx / speed + 0.5 - lamp.x) < 0.01 && Math.abs(dy / speed + 0.5 - lamp.y) < 0.01
        )
      })
    }).length
  })
  expect(Math.min(...misfits)).toBe(0)
}

function summaryOf(errors: string) {
  const found =
    /in all (\d+) frames in, (\d+) dropped, (\d+) answered, .* p50 ([\d.]+) ms, p99 ([\d.]+) ms, .* (\d+) points\/s/.exec(
      errors,
    )
  if (found === null) throw new Error(`no summary in:\n${errors}`)
  const [framesIn, dropped, answered, p50, p99, points] = found.slice(1).map(Number)
  return { framesIn, dropped, answered, p50, p99, points }
}

function run(args: readonly string[], env: Readonly<Record<string, string>>) {
  const isRun = args[0] === 'run'
  const fresh = args.includes('--state') ? [] : ['--state', mkdtempSync(join(folder, 'state-'))]
  return start([cli, ...args, ...(isRun ? ['--no-metrics', ...fresh] : [])], env, '')
}

async function start(args: readonly string[], env: Readonly<Record<string, string>>, input: string) {
  const child = spawn(process.execPath, ['--conditions=millrace-source', ...args], {
    cwd: folder,
    env: { ...process.env, ...env },
  })
  child.stdin.write(input)
  let out = ''
  let errors = ''
  child.stdout.on('data', (text) => {
    out += text
  })
  child.stderr.on('data', (text) => {
    errors += text
  })
  const limit = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS)
  const code = await new Promise((resolve) => child.once('close', resolve))
  clearTimeout(limit)
  expect(code, errors).toBe(0)
  return { lines: out.split('\n').filter((line) => line !== ''), errors }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Connects as soon as somebody listens. */
async function connected(url: string): Promise<WebSocket> {
  for (let tries = 0; tries < 500; tries++) {
    const client = new WebSocket(url)
    const isOpen = await new Promise<boolean>((resolve) => {
      client.onopen = () => resolve(true)
      client.onerror = () => resolve(false)
    })
    if (isOpen) return client
    await sleep(20)
  }
  throw new Error(`nobody listens at ${url}`)
}

/** Two seconds of a bright square at three quarters of the width. */
async function makeClip(file: string): Promise<void> {
  const box = 'drawbox=x=224:y=70:w=32:h=40:color=white:t=fill'
  const source = ['-f', 'lavfi', '-i', `color=c=0x202020:s=320x180:r=30:d=2,${box}`]
  const child = spawn(findFfmpeg() as string, ['-y', '-loglevel', 'error', ...source, '-c:v', 'ffv1', file], {
    stdio: 'inherit',
  })
  expect(await new Promise((resolve) => child.once('close', resolve))).toBe(0)
}
