/**
 * Real processes ended by kill -9 at random moments: the output must equal that of a run nobody disturbed.
 *
 *   node --conditions=millrace-source simulation/kill.ts --seed 7 [--kills 1] [--workers 2] [--rows 200000]
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

export interface KillOptions {
  readonly seed: number
  /** How often the flow is killed before it may finish. */
  readonly kills: number
  readonly workers: number
  /** Input records. */
  readonly rows: number
}

export interface KillReport {
  readonly kills: number
  /** Starts that found committed state. */
  readonly resumed: number
  readonly rows: number
  /** Output records by file. */
  readonly outputs: Readonly<Record<string, number>>
}

const OUTPUTS = ['averages.jsonl', 'loads.jsonl', 'silences.jsonl', 'dead.jsonl']
const runner = fileURLToPath(new URL('./kill-runner.ts', import.meta.url))

/** Runs the flow undisturbed and killed, and compares. @throws Error that says which output differs, and how */
export async function killRun(options: KillOptions): Promise<KillReport> {
  const root = mkdtempSync(join(tmpdir(), 'millrace-kill-'))
  try {
    const calm = join(root, 'calm')
    const wild = join(root, 'wild')
    for (const folder of [calm, wild]) writeInput(folder, options)
    const started = performance.now()
    await finish(start(calm, options.workers))
    const calmMs = performance.now() - started
    const random = mulberry(options.seed + 1)
    let resumed = 0
    let kills = 0
    while (kills < options.kills) {
      const child = start(wild, options.workers)
      const ended = new Promise<boolean>((resolve) => child.once('exit', (_, signal) => resolve(signal === 'SIGKILL')))
      await sleep(random() * calmMs)
      child.kill('SIGKILL')
      const wasKilled = await ended
      if (!wasKilled) {
        // It was done before the blow: begin again, so that every counted kill hit a running flow.
        for (const file of OUTPUTS) rmSync(join(wild, file), { force: true })
        rmSync(join(wild, 'state'), { recursive: true, force: true })
        continue
      }
      kills++
      if (hasManifest(wild)) resumed++
    }
    await finish(start(wild, options.workers))
    const outputs: Record<string, number> = {}
    for (const file of OUTPUTS) outputs[file] = compare(file, join(calm, file), join(wild, file))
    return { kills, resumed, rows: options.rows, outputs }
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

function start(folder: string, workers: number): ChildProcess {
  return spawn(process.execPath, ['--conditions=millrace-source', runner, folder, String(workers)], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, MILLRACE_KILL_FOLDER: folder },
  })
}

async function finish(child: ChildProcess): Promise<void> {
  let stderr = ''
  child.stderr?.on('data', (chunk) => {
    stderr += chunk
  })
  const code = await new Promise<number | null>((resolve) => child.once('exit', resolve))
  if (code !== 0) throw new Error(`the flow ended with code ${code}: ${stderr}`)
}

function hasManifest(folder: string): boolean {
  try {
    return readdirSync(join(folder, 'state')).some((name) => name.startsWith('MANIFEST-'))
  } catch {
    return false
  }
}

/** Four partitions, out of order within two seconds, with lines that cannot be decoded and rows that make a step fail. */
function writeInput(folder: string, { seed, rows }: KillOptions): void {
  const random = mulberry(seed)
  const lines: string[][] = [[], [], [], []]
  for (let i = 0; i < rows; i++) {
    const part = lines[Math.floor(random() * 4)]
    if (random() < 0.0002) {
      part.push('{"sensor": "broken')
      continue
    }
    const value = random() < 0.0002 ? 13 : Math.round(random() * 1000) / 100
    // Sensors fall silent now and then.
    const sensor = `s${Math.floor(random() * 40)}`
    const at = 1_700_000_000_000 + i * 5 + Math.floor(random() * 1500)
    if (Math.floor(i / 4000) % 7 === Number(sensor.slice(1)) % 7) continue
    part.push(JSON.stringify({ sensor, value, at }))
  }
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  for (const [n, part] of lines.entries()) writeFileSync(join(folder, `in-${n}.jsonl`), `${part.join('\n')}\n`)
}

/** Equal output: the multiset of records, and the order of those with one key. Returns the number of records. */
function compare(file: string, calm: string, wild: string): number {
  const expected = readLines(calm)
  const got = readLines(wild)
  const missing = difference(expected, got)
  const extra = difference(got, expected)
  if (missing.length > 0 || extra.length > 0) {
    throw new Error(
      `${file}: ${expected.length} records expected, ${got.length} there; missing ${missing.length}: ${missing.slice(0, 3).join(' ')}; too many ${extra.length}: ${extra.slice(0, 3).join(' ')}`,
    )
  }
  if (file !== 'dead.jsonl' && perKey(expected) !== perKey(got))
    throw new Error(`${file}: the order within a key differs`)
  return expected.length
}

function readLines(path: string): string[] {
  // Dead letters name the file they come from.
  return readFileSync(path, 'utf8').replaceAll(dirname(path), '').split('\n').slice(0, -1)
}

function difference(a: readonly string[], b: readonly string[]): string[] {
  const counts = new Map<string, number>()
  for (const line of b) counts.set(line, (counts.get(line) ?? 0) + 1)
  return a.filter((line) => {
    const left = counts.get(line) ?? 0
    counts.set(line, left - 1)
    return left <= 0
  })
}

function perKey(lines: readonly string[]): string {
  const hashes = new Map<string, ReturnType<typeof createHash>>()
  for (const line of lines) {
    const row = JSON.parse(line) as { key?: string; sensor?: string }
    const key = row.key ?? row.sensor ?? ''
    let hash = hashes.get(key)
    if (hash === undefined) {
      hash = createHash('sha256')
      hashes.set(key, hash)
    }
    hash.update(line)
  }
  return [...hashes]
    .map(([key, hash]) => `${key}=${hash.digest('hex')}`)
    .sort()
    .join()
}

function mulberry(seed: number): () => number {
  let a = seed >>> 0
  return () => {
    a = (a + 0x6d2b79f5) >>> 0
    let t = Math.imul(a ^ (a >>> 15), a | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '1' },
      kills: { type: 'string', default: '1' },
      workers: { type: 'string' },
      rows: { type: 'string', default: '400000' },
    },
  })
  const seed = Number(values.seed)
  const workers = values.workers === undefined ? 1 + (seed % 2) : Number(values.workers)
  const report = await killRun({ seed, kills: Number(values.kills), workers, rows: Number(values.rows) })
  console.log(JSON.stringify({ seed, workers, ...report }))
}
