// Runs a child in our place: same terminal, same signals, same end.

import { spawn } from 'node:child_process'

/** @type {NodeJS.Signals[]} */
const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2']

/**
 * Never returns normally: ends this process with the child's exit code, or by the signal that ended the child.
 * @param {string} command @param {string[]} args @param {NodeJS.ProcessEnv} [env]
 */
export async function passThrough(command, args, env = process.env) {
  const child = spawn(command, args, { stdio: 'inherit', env })
  // A terminal sends Ctrl-C to the child as well; a second SIGINT from us would mean "stop now" to it.
  const isTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY
  for (const signal of FORWARDED) {
    if (signal === 'SIGUSR2' && process.platform === 'win32') continue
    process.on(signal, () => {
      if (!(signal === 'SIGINT' && isTerminal)) child.kill(signal)
    })
  }
  const [code, signal] = await new Promise((resolve) => {
    child.once('error', (error) => {
      console.error(`millrace: cannot run ${command}: ${error.message}`)
      resolve([127, null])
    })
    child.once('exit', (...end) => resolve(end))
  })
  if (signal === null) process.exit(code)
  for (const name of FORWARDED) process.removeAllListeners(name)
  process.kill(process.pid, signal)
  // The signal is delivered by the event loop; stay until it is.
  await new Promise((resolve) => setTimeout(resolve, 1_000))
  process.exit(1)
}
