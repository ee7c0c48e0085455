/** Runs a measuring program in a process of its own, so that no run is warmed or slowed by the ones before it. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** The JSON that `program` (a file of this folder's parent) prints. @throws Error with what it wrote when it fails */
export async function measureInChild<R>(program: string, args: readonly string[]): Promise<R> {
  const file = fileURLToPath(new URL(`../${program}`, import.meta.url))
  const child = spawn(process.execPath, ['--conditions=millrace-source', file, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let out = ''
  let errors = ''
  child.stdout.on('data', (bytes) => {
    out += bytes
  })
  child.stderr.on('data', (bytes) => {
    errors += bytes
  })
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with code ${code}:\n${errors}`)
  return JSON.parse(out) as R
}
