/**
 * Speech by contract: what a recogniser has to be so that the control loop can listen to it. There is none in this
 * repository; speech.test.ts shows the contract with one that recognises tones and says so.
 */
import type { FeedContext, Utterance, WordFeed } from './language.ts'

/** A piece of sound, one channel. */
export interface AudioChunk {
  /** When its first sample was heard, ms since the epoch. Chunks follow each other without gaps, or say so by `at`. */
  readonly at: number
  readonly samplesPerSecond: number
  readonly samples: Int16Array
}

/**
 * Contract of a speech recogniser: audio in, text with times out.
 *  - `at` of an utterance is when its words ended, on the clock of the chunks' `at`, not when they were understood. They
 *    come in the order of `at`. Understanding takes time, so they come late: the flow lets them count from the next
 *    action on, and knows for which frames they would have been in time.
 *  - It asks for chunks one at a time, and keeps a bounded amount of them: a recogniser that is slower than speech lets
 *    the microphone wait, and it is the microphone that drops, and counts.
 *  - It ends when the audio ends, after its last words, or soon after `signal` aborts.
 *  - What it cannot understand it leaves out. It invents nothing for silence and noise.
 *  - An error that is not a matter of one utterance is thrown: the flow fails, and starts again from its last commit.
 */
export interface SpeechRecogniser {
  /** Goes into the plan: which recogniser is listening. */
  readonly kind: string
  recognise(audio: AsyncIterable<AudioChunk>, signal: AbortSignal): AsyncIterable<Utterance & { readonly at: number }>
}

/** Where sound comes from. It ends when there is no more, or soon after the signal aborts. */
export type Microphone = (ctx: FeedContext) => AsyncIterable<AudioChunk>

/** The words that a recogniser understands. */
export function spoken(recogniser: SpeechRecogniser, microphone: Microphone): WordFeed {
  return {
    kind: `speech.${recogniser.kind}`,
    words: (ctx) => recogniser.recognise(microphone(ctx), ctx.signal),
  }
}
