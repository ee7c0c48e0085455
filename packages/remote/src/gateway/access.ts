/** Who may do what: tokens with roles and patterns of function names. */
import { createHash, timingSafeEqual } from 'node:crypto'
import { UsageError } from 'millrace/connector'
import { matcher } from '../access-pattern.ts'
import type { Role } from '../protocol/messages.ts'
import { RemoteError } from '../remote-error.ts'

/** Patterns are names in which `*` stands for any characters: `sensor.*`. */
export interface TokenRights {
  readonly token: string
  /** Name for logs and lists; the token itself is never shown. */
  readonly name: string
  /** Functions that a node with this token may register. */
  readonly register?: readonly string[]
  /** Functions that a client with this token may call. */
  readonly call?: readonly string[]
  /** Other gateways share their nodes with this token. */
  readonly peer?: boolean
}

export interface Access {
  readonly name: string
  mayRegister(fn: string): boolean
  mayCall(fn: string): boolean
}

export const ANYONE: Access = { name: 'anyone', mayRegister: () => true, mayCall: () => true }

/** Shorter ones can be guessed. */
const TOKEN_CHARS_MIN = 16

interface Right {
  readonly digest: Buffer
  readonly access: Access
  readonly roles: ReadonlySet<Role>
}

export class AccessList {
  readonly #rights: readonly Right[]

  /** @throws UsageError `REMOTE_TOKEN` */
  constructor(tokens: readonly TokenRights[]) {
    const names = new Set<string>()
    this.#rights = tokens.map(({ token, name, register = [], call = [], peer = false }) => {
      if (typeof token !== 'string' || token.length < TOKEN_CHARS_MIN) {
        throw new UsageError(
          'REMOTE_TOKEN',
          `the token "${name}" is shorter than ${TOKEN_CHARS_MIN} characters: it can be guessed.`,
        )
      }
      if (names.has(name))
        throw new UsageError('REMOTE_TOKEN', `two tokens are called "${name}"; give each a name of its own.`)
      names.add(name)
      const roles = new Set<Role>([
        ...(register.length > 0 ? ['node' as const] : []),
        ...(call.length > 0 ? ['client' as const] : []),
        ...(peer ? ['peer' as const] : []),
      ])
      return {
        digest: digestOf(token),
        roles,
        access: { name, mayRegister: matcher(register), mayCall: matcher(call) },
      }
    })
  }

  /**
   * What the bearer of `token` may do. All tokens are compared, in constant time.
   * @throws RemoteError `UNAUTHENTICATED`, `PERMISSION_DENIED` when the token is not for this role
   */
  check(token: string | undefined, role: Role): Access {
    if (this.#rights.length === 0) return ANYONE
    const digest = digestOf(token ?? '')
    let found: Right | undefined
    for (const right of this.#rights) if (timingSafeEqual(right.digest, digest)) found = right
    if (found === undefined) {
      const why = token === undefined ? 'no token was given' : 'the token is not known'
      throw new RemoteError(
        'UNAUTHENTICATED',
        `${why}; nothing was run. Give the token of this gateway: --token, or MILLRACE_TOKEN.`,
      )
    }
    if (!found.roles.has(role)) {
      throw new RemoteError('PERMISSION_DENIED', `the token "${found.access.name}" is not for a ${role}.`)
    }
    return found.access
  }
}

/** Digests have one length, which the comparison needs. */
function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}
