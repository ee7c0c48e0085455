/** The generator's texts: a pool of filler characters, and ten thousand channels with their URLs. */
import { SplittableRandom } from './random.ts'

export const POOL_LENGTH = 1_048_576
export const HOT_CHANNELS = ['Google', 'Facebook', 'Baidu', 'Apple']
const CHANNELS = 10_000

/** Channel `i` and URL `i` belong together: 0 to 9,999 by draw, then the four hot ones. */
export interface Texts {
  readonly pool: string
  readonly channels: readonly string[]
  readonly urls: readonly string[]
}

const made = new Map<string, Texts>()

/** Made once per thread: it takes some 20 ms. */
export function textsOf(tableSeed: number, poolSeed: number): Texts {
  const seeds = `${tableSeed}/${poolSeed}`
  let texts = made.get(seeds)
  if (texts === undefined) {
    const pool = makePool(new SplittableRandom().seed(poolSeed))
    texts = { pool, ...makeTable(new SplittableRandom().seed(tableSeed)) }
    made.set(seeds, texts)
  }
  return texts
}

/** Index of the hot channel `h` in the tables. */
export function hotChannel(h: number): number {
  return CHANNELS + h
}

/** 3 to max - 1 characters, fewer when blanks at the ends fall away. */
export function randomText(random: SplittableRandom, max: number, special = ' '): string {
  const length = 3 + random.below(max - 3)
  let text = ''
  for (let i = 0; i < length; i++) {
    text += random.below(13) === 0 ? special : String.fromCharCode(97 + random.below(26))
  }
  return text.trim()
}

/** Six characters of each draw, by remainders that keep the sign of the draw: 'H' to 'z'. */
function makePool(random: SplittableRandom): string {
  const codes = new Uint8Array(POOL_LENGTH)
  let r = 0
  for (let i = 0; i < POOL_LENGTH; i++) {
    if (i % 6 === 0) r = random.int32()
    codes[i] = 97 + (r % 26)
    r = Math.trunc(r / 26)
  }
  return Buffer.from(codes).toString('latin1')
}

function makeTable(random: SplittableRandom): { channels: string[]; urls: string[] } {
  const baseUrl = (): string => {
    const part = (): string => randomText(random, 5, '_')
    return `https://www.nexmark.com/${part()}/${part()}/${part()}/item.htm?query=1`
  }
  const hotUrls = HOT_CHANNELS.map(baseUrl)
  const channels: string[] = []
  const urls: string[] = []
  for (let i = 0; i < CHANNELS; i++) {
    const url = baseUrl()
    urls.push(random.below(10) > 0 ? `${url}&channel_id=${javaAbs(reverseBits(i))}` : url)
    channels.push(`channel-${i}`)
  }
  return { channels: [...channels, ...HOT_CHANNELS], urls: [...urls, ...hotUrls] }
}

function reverseBits(i: number): number {
  let out = 0
  for (let bit = 0; bit < 32; bit++) out |= ((i >>> bit) & 1) << (31 - bit)
  return out
}

/** Math.abs of a Java int: that of the smallest one is itself. */
function javaAbs(i: number): number {
  return Math.abs(i) | 0
}
