/** Finds ffmpeg and starts it: a process that writes raw frames to its standard output, and nothing else. */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import type { Readable } from 'node:stream'
import { messageOf, OperationalError } from 'millrace/connector'

export type Ffmpeg = ChildProcessByStdio<null, Readable, Readable>

export interface DecodeOptions {
  readonly input: string
  /** Format of a device, as ffmpeg calls it; undefined for files and addresses. */
  readonly format: string | undefined
  readonly width: number
  readonly height: number
  readonly fps: number
  readonly loop: boolean
  /** Frames to pass over at the beginning. */
  readonly skip: number
  /** Ends after so many; Infinity: with the input. */
  readonly frames: number
}

/**
 * The ffmpeg of the machine, else the one of the package `@ffmpeg-installer/ffmpeg`, which carries binaries and need not
 * be there. Undefined when there is neither.
 */
export function findFfmpeg(): string | undefined {
  const name = process.platform === 'win32' ? 'ffmpeg.exe' : 'ffmpeg'
  for (const folder of (process.env.PATH ?? '').split(path.delimiter)) {
    if (folder !== '' && isExecutable(path.join(folder, name))) return path.join(folder, name)
  }
  for (const from of [import.meta.url, path.join(process.cwd(), 'package.json')]) {
    try {
      const found = createRequire(from)('@ffmpeg-installer/ffmpeg') as { readonly path: string }
      if (isExecutable(found.path)) return found.path
    } catch {
      // Not installed there.
    }
  }
  return undefined
}

/** @throws OperationalError `VIDEO_FFMPEG` when there is none, or it cannot be started */
export async function startFfmpeg(chosen: string | undefined, options: DecodeOptions): Promise<Ffmpeg> {
  const program = chosen ?? findFfmpeg()
  if (program === undefined) throw missing('there is none on the PATH, and the package is not installed')
  const child = spawn(program, decodeArgs(options), { stdio: ['ignore', 'pipe', 'pipe'] })
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', (error) => reject(missing(`${program} cannot be started: ${messageOf(error)}`)))
  })
  return child
}

/** Constant rate and size, so that frame `n` is at `n / fps` and `width * height * 3` bytes long. */
export function decodeArgs({ input, format, width, height, fps, loop, skip, frames }: DecodeOptions): string[] {
  return [
    '-nostdin',
    '-hide_banner',
    ...['-loglevel', 'error'],
    ...(format === undefined ? [] : ['-f', format]),
    ...(loop ? ['-stream_loop', '-1'] : []),
    ...(skip === 0 ? [] : ['-ss', (skip / fps).toFixed(6)]),
    ...['-i', input],
    ...['-map', '0:v:0'],
    ...(frames === Number.POSITIVE_INFINITY ? [] : ['-frames:v', String(frames)]),
    ...['-vf', `fps=${fps},scale=${width}:${height}`],
    ...['-pix_fmt', 'rgb24', '-f', 'rawvideo', 'pipe:1'],
  ]
}

function missing(why: string): OperationalError {
  return new OperationalError(
    'VIDEO_FFMPEG',
    `video needs ffmpeg to decode: ${why}. Install ffmpeg, or npm install @ffmpeg-installer/ffmpeg, or name it: { ffmpeg: '/path/to/ffmpeg' }.`,
  )
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}
