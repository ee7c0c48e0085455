/** Cases 8 and 9: large and broken payloads, errors, and who may do what. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { connect as connectTcp } from 'node:net'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeCertificate } from '../../../packages/remote/test/certificate.ts'
import { type Command, Fabric, nats, percentile, SLACK, watch } from './fabric.ts'

const MIB = 1024 * 1024

describe('case 8', () => {
  const fabric = new Fabric()
  let gateway: Command
  beforeAll(async () => {
    gateway = await fabric.gateway()
    await fabric.node('n1')
    await fabric.node('n2')
  })
  afterAll(() => fabric.close())

  test('64 MiB arrive as they were, both ways', async () => {
    const watched = await watch(fabric, ['n2'])
    const hash = '281e519df3077b557c6b03f5da83c4e8d397219259615dd7c3308f89cae8f2a6'
    fabric.write(
      'big',
      new Uint8Array(64 * MIB).map((_, i) => i % 256),
    )
    const { code, stderr } = await fabric.run('call', 'echo', '@big', '--out', 'back', '--node', 'n1')
    expect([code, stderr]).toEqual([0, ''])
    const back = readFileSync(path.join(fabric.folder, 'back'))
    expect(createHash('sha256').update(back).digest('hex')).toBe(hash)
    expect(percentile(await watched.end(), 0.95)).toBeLessThan(50 * SLACK)
  }, 60_000)

  test('a key called __proto__ pollutes nothing', async () => {
    const { lines } = await fabric.run('call', 'polluted', '{"__proto__":{"polluted":true}}')
    expect(lines.map((line) => line.text)).toEqual(['{"keys":["__proto__"],"polluted":false}'])
  })

  test.skipIf(nats !== undefined)('bytes that are no protocol end their own connection only', async () => {
    const watched = await watch(fabric, ['n1', 'n2'])
    const before = gateway.rss
    for (let i = 0; i < 20; i++) {
      const socket = connectTcp(fabric.port, '127.0.0.1')
      socket.on('error', () => {})
      const bytes = Buffer.from(Array.from({ length: 1024 }, (_, k) => (k * 7919 + i * 104_729) % 256))
      socket.end(bytes)
      await new Promise((resolve) => socket.on('close', resolve).resume())
    }
    const frame = (type: number, length: number, body: Uint8Array): Uint8Array => {
      const message = Buffer.alloc(16 + body.length)
      message[0] = type
      message.writeUInt32LE(length, 12)
      message.set(body, 16)
      return message
    }
    const hello = new TextEncoder().encode('{"version":1,"role":"client"}')
    const cut = frame(1, hello.length, hello.subarray(0, 10))
    const endless = frame(1, 0xffff_ffff, hello)
    for (const message of [cut, endless]) {
      for (const isWelcome of [false, true]) {
        const socket = new WebSocket(`ws://127.0.0.1:${fabric.port}`, 'millrace.remote.1')
        const closed = new Promise<CloseEvent>((resolve) => socket.addEventListener('close', resolve))
        await new Promise((resolve) => socket.addEventListener('open', resolve))
        if (isWelcome) {
          socket.send(frame(1, hello.length, hello) as Uint8Array<ArrayBuffer>)
          await new Promise((resolve) => socket.addEventListener('message', resolve, { once: true }))
        }
        socket.send(message as Uint8Array<ArrayBuffer>)
        expect((await closed).reason).toContain('PROTOCOL_ERROR')
      }
    }
    expect(gateway.rss - before).toBeLessThan(8 * MIB)
    expect(percentile(await watched.end(), 0.95)).toBeLessThan(50 * SLACK)
  })
})

test('case 8: above the cap a value is refused with both sizes, and the connection goes on', async () => {
  const fabric = new Fabric()
  try {
    await fabric.gateway('--payload-max', '16MiB')
    await fabric.node('n1')
    fabric.write('big', new Uint8Array(64 * MIB))
    for (const args of [
      ['echo', '@big'],
      ['blob', String(64 * MIB)],
    ]) {
      const { code, error } = await fabric
        .run('call', ...args, '--errors', 'json')
        .then((command) => ({ code: command.code, error: command.error() }))
      expect(code).toBe(1)
      expect(error).toMatchObject({ code: 'PAYLOAD_TOO_LARGE', data: { bytesMax: 16 * MIB } })
      expect(String(error.message)).toMatch(/6710\d{4}.*16777216/)
    }
    const client = await fabric.client()
    await expect(client.call.echo(new Uint8Array(64 * MIB))).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE' })
    await expect(client.call.blob(64 * MIB)).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE' })
    const begin = performance.now()
    expect(await client.call.echo('still here')).toBe('still here')
    expect(performance.now() - begin).toBeLessThan(50 * SLACK)
  } finally {
    await fabric.close()
  }
}, 60_000)

const TOKENS = [
  { name: 'all', token: 'a-token-for-everything', register: ['*'], call: ['*'] },
  { name: 'guest', token: 'a-token-for-some-calls', call: ['echo', 'agen*'] },
  { name: 'sensors', token: 'a-token-for-sensors-only', register: ['sensor.*'] },
]

describe('case 9', () => {
  const fabric = new Fabric()
  const all = ['--token', TOKENS[0].token]
  beforeAll(async () => {
    await fabric.gateway('--tokens', fabric.write('tokens.json', JSON.stringify(TOKENS)))
    await fabric.node('n1', { args: all })
  })
  afterAll(() => fabric.close())

  const failure = async (...args: readonly string[]): Promise<Record<string, unknown> & { lines: unknown[] }> => {
    const command = await fabric.run(...args, '--errors', 'json')
    expect(command.code).toBe(1)
    return { ...command.error(), lines: command.json() }
  }

  test('what went wrong is told by code, name, message, stack and path', async () => {
    expect(await failure('call', 'nope', ...all)).toMatchObject({ code: 'NOT_FOUND', data: { function: 'nope' } })
    const wrong = await failure('call', 'checked', ...all)
    expect(wrong).toMatchObject({ code: 'INVALID_ARGUMENT', data: { issues: [{ path: '0' }] } })
    const boom = await failure('call', 'boom', ...all)
    expect(boom).toMatchObject({ code: 'USER_ERROR', name: 'TypeError', message: 'boom from node', node: 'n1' })
    expect(boom.stack).toContain('functions.ts')
    const stream = await failure('stream', 'agen_boom', '3', ...all)
    expect(stream).toMatchObject({ code: 'USER_ERROR', name: 'Error', lines: [0, 1, 2] })
    const client = await fabric.client(TOKENS[0].token)
    const begin = performance.now()
    await expect(client.call.nope()).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(performance.now() - begin).toBeLessThan(50 * SLACK)
  })

  test('an error is a line for people: the code, then the message', async () => {
    const { stderr, code } = await fabric.run('call', 'boom', ...all)
    expect(code).toBe(1)
    expect(stderr).toMatch(/^USER_ERROR +boom from node\n/)
    expect(stderr).toMatch(/TypeError, function boom, node n1, retryable false/)
  })

  test('tokens: unknown, without the right to call, without the right to register', async () => {
    expect(await failure('call', 'echo', '1')).toMatchObject({ code: 'UNAUTHENTICATED' })
    expect(await failure('call', 'echo', '1', '--token', 'x'.repeat(20))).toMatchObject({ code: 'UNAUTHENTICATED' })
    expect(await failure('call', 'boom', '--token', TOKENS[1].token)).toMatchObject({ code: 'PERMISSION_DENIED' })
    expect((await fabric.run('call', 'echo', '1', '--token', TOKENS[1].token)).json()).toEqual([1])
    fabric.write('echo-only.ts', 'export default { echo: (value: unknown) => value }\n')
    const intruder = fabric.start([
      ...['node', 'echo-only.ts', '--id', 'intruder', '--gateway', fabric.address, '--token', TOKENS[2].token],
    ])
    expect(await intruder.ended).toBe(1)
    expect(intruder.stderr).toMatch(/PERMISSION_DENIED +the token "sensors" may not register "echo"/)
    const { lines } = await fabric.run('nodes', ...all)
    expect(lines.map((line) => (JSON.parse(line.text) as { id: string }).id)).toEqual(['n1'])
  })
})

test.skipIf(nats !== undefined)(
  'case 9: a gateway with TLS does not speak without',
  async () => {
    const fabric = new Fabric()
    try {
      const { cert, key } = makeCertificate()
      fabric.write('cert.pem', cert)
      fabric.write('key.pem', key)
      await fabric.gateway('--tls-cert', 'cert.pem', '--tls-key', 'key.pem')
      await fabric.node('n1', { args: ['--tls-ca', 'cert.pem'] })
      expect((await fabric.run('call', 'echo', '1', '--tls-ca', 'cert.pem')).json()).toEqual([1])
      for (const args of [
        ['--gateway', fabric.address],
        ['--gateway', fabric.address.replace('wss:', 'ws:')],
      ]) {
        const command = fabric.start(['call', 'echo', '1', ...args, '--errors', 'json'])
        expect(await command.ended).toBe(1)
        expect(command.error()).toMatchObject({ code: 'GATEWAY_UNREACHABLE' })
      }
      const plain = connectTcp(fabric.port, '127.0.0.1')
      plain.on('error', () => {})
      plain.write('GET / HTTP/1.1\r\n\r\n')
      let heard = ''
      plain.setEncoding('latin1').on('data', (text: string) => {
        heard += text
      })
      await Promise.race([new Promise((resolve) => plain.on('close', resolve)), sleep(10_000)])
      expect(heard).not.toContain('HTTP/1.1 2')
      expect((await fabric.run('call', 'progress', '--tls-ca', 'cert.pem')).json()).toMatchObject([{ n: 0 }])
    } finally {
      await fabric.close()
    }
  },
  60_000,
)

test('an absent gateway is said to be absent, where, and what to look at', async () => {
  const fabric = new Fabric()
  try {
    const command = fabric.start(['call', 'echo', '1', '--gateway', 'ws://127.0.0.1:9'])
    expect(await command.ended).toBe(1)
    expect(command.stderr).toMatch(/^GATEWAY_UNREACHABLE +there is no gateway at ws:\/\/127\.0\.0\.1:9.*firewall/)
  } finally {
    await fabric.close()
  }
})
