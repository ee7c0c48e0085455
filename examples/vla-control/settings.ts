/**
 * Where the loop takes its input from, as the environment says it: worker threads read the same module, and must come to
 * the same flow.
 *
 *   VLA_CAMERA    a video file or a device; default: a drawn scene
 *   VLA_LANGUAGE  script (default), script:FILE, stdin, or ws:PORT, where clients send {"text":"stop"}
 *   VLA_LOG       folder of an embedded log: all three come from its topics vision, sensors and language
 *   VLA_FOLLOW    no: a topic ends where it ended at the start; default: it is followed
 *   VLA_SECONDS   ends after so long; default: never
 *   VLA_WAIT      watermark: the same actions in every run over the same topics; default: at most 10 ms
 */
export interface Settings {
  readonly camera: string | undefined
  readonly language: string
  readonly log: string | undefined
  readonly follow: boolean
  readonly seconds: number | undefined
  readonly wait: 'watermark' | '10ms'
}

export function settingsOf(env: Readonly<Record<string, string | undefined>>): Settings {
  const given = (name: string): string | undefined => (env[name] === '' ? undefined : env[name])
  const seconds = given('VLA_SECONDS')
  if (seconds !== undefined && !(Number(seconds) > 0))
    throw new Error(`VLA_SECONDS is "${seconds}"; it must be a number of seconds.`)
  return {
    camera: given('VLA_CAMERA'),
    language: given('VLA_LANGUAGE') ?? 'script',
    log: given('VLA_LOG'),
    follow: given('VLA_FOLLOW') !== 'no',
    seconds: seconds === undefined ? undefined : Number(seconds),
    wait: given('VLA_WAIT') === 'watermark' ? 'watermark' : '10ms',
  }
}
