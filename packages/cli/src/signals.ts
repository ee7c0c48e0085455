/** Ctrl-C and SIGTERM: the first asks, the second Ctrl-C does not wait any longer. */
import { EXIT } from './exit-codes.ts'

/** Calls `ask` on the first signal. Returns a function that gives the signals back. */
export function onSignals(ask: (signal: 'SIGINT' | 'SIGTERM') => void): () => void {
  let isAsked = false
  const onSignal = (signal: NodeJS.Signals): void => {
    if (signal !== 'SIGINT' && signal !== 'SIGTERM') return
    if (isAsked && signal === 'SIGINT') process.exit(EXIT.interrupted)
    if (isAsked) return
    isAsked = true
    ask(signal)
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  return () => {
    process.off('SIGINT', onSignal)
    process.off('SIGTERM', onSignal)
  }
}
