/**
 * The contract of a speech recogniser, shown with one that recognises tones: 440 Hz is "follow", 880 Hz is "stop". It
 * measures frequencies and understands no speech.
 */
import { expect, test } from 'vitest'
import type { FeedContext } from './language.ts'
import { type AudioChunk, type SpeechRecogniser, spoken } from './speech.ts'

const RATE = 8000
const CHUNK = 160
const WORDS: Readonly<Record<number, string>> = { 440: 'follow', 880: 'stop' }

const tones: SpeechRecogniser = {
  kind: 'tones, no speech',
  async *recognise(audio, signal) {
    let heard: { readonly text: string; readonly chunks: number } | undefined
    let endMs = 0
    for await (const chunk of audio) {
      if (signal.aborted) return
      const text = wordIn(chunk)
      if (text !== heard?.text) {
        // A tone counts when it lasted for 100 ms; it ends where the next chunk has none.
        if (heard !== undefined && heard.chunks >= 5) yield { text: heard.text, at: endMs }
        heard = text === undefined ? undefined : { text, chunks: 0 }
      }
      if (heard !== undefined) heard = { ...heard, chunks: heard.chunks + 1 }
      endMs = chunk.at + (chunk.samples.length * 1000) / chunk.samplesPerSecond
    }
    if (heard !== undefined && heard.chunks >= 5) yield { text: heard.text, at: endMs }
  },
}

/** Which of the words' frequencies holds most of the energy of a chunk (Goertzel), if one does. */
function wordIn({ samples, samplesPerSecond }: AudioChunk): string | undefined {
  const energy = samples.reduce((sum, sample) => sum + sample ** 2, 0)
  return Object.entries(WORDS).find(([hz]) => {
    const turn = 2 * Math.cos((2 * Math.PI * Number(hz)) / samplesPerSecond)
    let [a, b] = [0, 0]
    for (const sample of samples) [a, b] = [sample + turn * a - b, a]
    return energy > 0 && (a * a + b * b - turn * a * b) / (energy * samples.length) > 0.25
  })?.[1]
}

/** `hz` for `ms`, and so on; 0 is silence with some noise. */
async function* sound(startMs: number, parts: readonly (readonly [hz: number, ms: number])[], asked = { count: 0 }) {
  let sample = 0
  for (const [hz, ms] of parts) {
    for (let left = (ms * RATE) / 1000; left > 0; left -= CHUNK) {
      asked.count++
      const at = startMs + (sample * 1000) / RATE
      const samples = Int16Array.from({ length: CHUNK }, () => {
        const phase = (2 * Math.PI * hz * sample++) / RATE
        return hz === 0 ? (sample * 7919) % 11 : 8000 * Math.sin(phase)
      })
      yield { at, samplesPerSecond: RATE, samples } satisfies AudioChunk
    }
  }
}

const context = (signal = new AbortController().signal): FeedContext => ({ now: () => 0, wait: async () => {}, signal })

test('audio in, text out, with the times at which the words ended on the clock of the audio', async () => {
  const feed = spoken(tones, () =>
    sound(5000, [
      [0, 200],
      [440, 300],
      [0, 140],
      [880, 200],
      [0, 100],
    ]),
  )
  expect(feed.kind).toBe('speech.tones, no speech')
  const words = []
  for await (const word of feed.words(context())) words.push(word)
  expect(words).toEqual([
    { text: 'follow', at: 5500 },
    { text: 'stop', at: 5840 },
  ])
})

test('silence, noise and what is too short give no words', async () => {
  const words = []
  for await (const word of spoken(tones, () =>
    sound(0, [
      [0, 1000],
      [440, 60],
      [0, 200],
      [600, 500],
    ]),
  ).words(context()))
    words.push(word)
  expect(words).toEqual([])
})

test('it asks for audio as it needs it, and ends when it is told to', async () => {
  const asked = { count: 0 }
  const stop = new AbortController()
  const words = spoken(tones, () =>
    sound(
      0,
      [
        [440, 200],
        [0, 60_000],
        [880, 200],
      ],
      asked,
    ),
  ).words(context(stop.signal))
  const iterator = words[Symbol.asyncIterator]()
  expect((await iterator.next()).value).toEqual({ text: 'follow', at: 200 })
  expect(asked.count).toBeLessThan(20)
  stop.abort()
  expect((await iterator.next()).done).toBe(true)
  expect(asked.count).toBeLessThan(20)
})
