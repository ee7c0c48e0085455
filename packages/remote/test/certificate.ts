/** Certificates for tests, made when they are needed: no key lies in the repository. X.509 v3, RFC 5280, by hand. */
import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'

export interface Certificate {
  /** PEM. */
  readonly key: string
  readonly cert: string
  readonly name: string
  readonly keyObject: KeyObject
}

/** For localhost and 127.0.0.1; signed by `issuer`, or by itself and then an authority. */
export function makeCertificate(name = 'localhost', issuer?: Certificate): Certificate {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const publicKey = createPublicKey(privateKey).export({ type: 'spki', format: 'der' })
  const ecdsaWithSha256 = sequence(objectId([0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]))
  const isAuthority = der(0x01, Buffer.from([issuer === undefined ? 255 : 0]))
  const extensions = sequence(
    sequence(objectId([0x55, 0x1d, 0x13]), octets(issuer === undefined ? sequence(isAuthority) : sequence())),
    sequence(
      objectId([0x55, 0x1d, 0x11]),
      octets(sequence(der(0x82, Buffer.from('localhost')), der(0x87, Buffer.from([127, 0, 0, 1])))),
    ),
  )
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    ecdsaWithSha256,
    distinguished(issuer?.name ?? name),
    sequence(der(0x17, Buffer.from('200101000000Z')), der(0x17, Buffer.from('491231235959Z'))),
    distinguished(name),
    publicKey,
    der(0xa3, extensions),
  )
  const signature = sign('sha256', body, issuer?.keyObject ?? privateKey)
  const cert = sequence(body, ecdsaWithSha256, der(0x03, Buffer.concat([Buffer.from([0]), signature])))
  const lines = cert.toString('base64').match(/.{1,64}/g) ?? []
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    cert: `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`,
    name,
    keyObject: privateKey,
  }
}

function der(tag: number, content: Buffer): Buffer {
  const { length } = content
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255]
  return Buffer.concat([Buffer.from([tag, ...size]), content])
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return der(0x30, Buffer.concat(parts))
}

function objectId(bytes: readonly number[]): Buffer {
  return der(0x06, Buffer.from(bytes))
}

function octets(content: Buffer): Buffer {
  return der(0x04, content)
}

function distinguished(name: string): Buffer {
  return sequence(der(0x31, sequence(objectId([0x55, 0x04, 0x03]), der(0x0c, Buffer.from(name)))))
}
