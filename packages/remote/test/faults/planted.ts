/**
 * Bugs planted from outside: frames are changed, dropped or moved at one end of every link, as an end with this mistake
 * would send them. Production code is never changed. Every one must be found.
 */
import { decodeJson, encodeJson } from '../../src/protocol/codec.ts'
import { creditBody, creditBytesOf, FRAME, type Frame, FrameWriter, parseFrames } from '../../src/protocol/frame.ts'
import { openBody, splitOpen } from '../../src/protocol/open-body.ts'
import { runSeed } from './run-seed.ts'
import type { DecorateLink, LinkEnd } from './world.ts'

export interface PlantedBug {
  readonly name: string
  readonly mistake: string
  readonly decorate: DecorateLink
}

/** Seeds within which a bug must be found: those that CI runs. */
const SEEDS_MAX = 25

/** What an end sends instead of a frame. */
type Change = (frame: Frame, memory: Map<string, number>) => readonly Frame[]

export const plantedBugs: readonly PlantedBug[] = [
  bug('credit twice', 'the gateway grants the node twice what the client granted', 'gateway to node', (frame) =>
    frame.type === FRAME.CREDIT && frame.stream === 0
      ? [{ ...frame, count: frame.count * 2, body: creditBody(creditBytesOf(frame) * 2) }]
      : [frame],
  ),
  bug('credit lost', 'every eighth grant is forgotten', 'client', (frame, memory) =>
    frame.type === FRAME.CREDIT && next(memory, 'credits') % 8 === 0 ? [] : [frame],
  ),
  bug('cancel lost', 'the gateway does not tell the node that a call was cancelled', 'gateway to node', (frame) =>
    frame.type === FRAME.CANCEL ? [] : [frame],
  ),
  bug('resumed too late', 'the client asks for one item behind the next', 'client', (frame) => resumed(frame, 1)),
  bug('resumed too early', 'the client asks for the last item again', 'client', (frame) => resumed(frame, -1)),
  bug('hold is cancel', 'the gateway cancels what it should let the node hold', 'gateway to node', (frame) =>
    frame.type === FRAME.HOLD ? [{ ...frame, type: FRAME.CANCEL }] : [frame],
  ),
  bug('release unheard', 'the node gives up a stream and does not say so', 'node', (frame) =>
    frame.type === FRAME.RELEASE ? [] : [frame],
  ),
  bug('runs while queued', 'the node says of calls that run that they wait', 'node', (frame) =>
    frame.type === FRAME.STARTED ? [{ ...frame, type: FRAME.QUEUED }] : [frame],
  ),
  bug('start not confirmed', 'the gateway does not confirm that a queued call begins', 'gateway to node', (frame) =>
    frame.type === FRAME.STARTED ? [] : [frame],
  ),
  bug('items twice', 'a batch is sent again', 'node', (frame, memory) =>
    frame.type === FRAME.ITEMS && next(memory, 'items') % 50 === 0 ? [frame, frame] : [frame],
  ),
  bug('batch lost', 'a batch is dropped, as by a buffer that overflows', 'gateway to client', (frame, memory) =>
    frame.type === FRAME.ITEMS && next(memory, 'items') % 100 === 0 ? [] : [frame],
  ),
  bug('results mixed up', 'a result goes to the call before', 'gateway to client', (frame, memory) => {
    if (frame.type !== FRAME.RESULT) return [frame]
    const before = memory.get('result') ?? frame.call
    memory.set('result', frame.call)
    return [{ ...frame, call: before }]
  }),
  bug('speaks only of calls', 'a node neither asks nor answers whether its peer is there', 'node', (frame) =>
    frame.type === FRAME.PONG || frame.type === FRAME.PING ? [] : [frame],
  ),
]

/** The first seed that fails with the bug and not without it; undefined when there is none. */
export async function findBug({ decorate }: PlantedBug): Promise<{ seed: number; failure: string } | undefined> {
  for (let seed = 1; seed <= SEEDS_MAX; seed++) {
    // Quiet runs too: a mistake of its own must not hide behind a fault.
    for (const faults of [10, 0]) {
      const { failure } = await runSeed(seed, decorate, faults)
      if (failure !== undefined && (await runSeed(seed, undefined, faults)).failure === undefined)
        return { seed, failure }
    }
  }
  return undefined
}

function bug(
  name: string,
  mistake: string,
  where: 'client' | 'node' | 'gateway to client' | 'gateway to node',
  change: Change,
): PlantedBug {
  const isHere = ({ of, dialer }: LinkEnd): boolean => where === (of === 'gateway' ? `gateway to ${dialer}` : of)
  return {
    name,
    mistake,
    decorate: (link, end) => {
      if (!isHere(end)) return link
      const memory = new Map<string, number>()
      const send = link.send.bind(link)
      link.send = (message) => {
        const writer = new FrameWriter()
        for (const frame of parseFrames(message).flatMap((each) => change(each, memory))) {
          writer.write(frame.type, frame.call, frame.stream, frame.count, frame.flags, frame.body)
        }
        if (writer.length > 0) send(writer.take())
      }
      return link
    },
  }
}

function next(memory: Map<string, number>, name: string): number {
  const n = (memory.get(name) ?? 0) + 1
  memory.set(name, n)
  return n
}

function resumed(frame: Frame, by: number): readonly Frame[] {
  if (frame.type !== FRAME.OPEN) return [frame]
  const { header, args } = splitOpen(frame.body)
  const { resume } = header
  if (resume?.isAgain !== true || resume.after + by < 0) return [frame]
  const changed = { ...header, resume: { ...resume, after: resume.after + by } }
  return [{ ...frame, body: openBody(decodeJson(encodeJson(changed)) as unknown as typeof header, args) }]
}
