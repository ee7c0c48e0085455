/**
 * Links over NATS: gateways share a queue group, so that who connects is served by one of them; and each has a subject of its
 * own, over which gateways find each other.
 */
import { connect, createInbox, type NatsConnection } from '@nats-io/transport-node'
import { messageOf, UsageError } from 'millrace/connector'
import { RemoteError } from '../remote-error.ts'
import { realTime, type Time } from '../time.ts'
import type { Link } from './link.ts'
import type { NatsAddress } from './nats-address.ts'
import { NatsLink } from './nats-link.ts'

const CONNECT_MS = 5_000
const PREFIX = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/

/** @throws UsageError `REMOTE_OPTION` */
export function subjects({ prefix = 'millrace' }: NatsAddress): {
  readonly connect: string
  readonly presence: string
  of(gateway: string): string
} {
  if (!PREFIX.test(prefix)) {
    throw new UsageError(
      'REMOTE_OPTION',
      `the NATS prefix ${JSON.stringify(prefix)} is no subject: words of letters, digits, - and _, dots between them.`,
    )
  }
  return {
    connect: `${prefix}.connect`,
    presence: `${prefix}.gateways`,
    of: (gateway) => `${prefix}.gateway.${gateway}`,
  }
}

/** @throws RemoteError `GATEWAY_UNREACHABLE` */
export async function openNats({ url }: NatsAddress): Promise<NatsConnection> {
  try {
    // Reconnecting is for the connection of node and client, which knows what was lost.
    return await connect({
      servers: url.split(',').map((server) => server.trim()),
      reconnect: false,
      timeout: CONNECT_MS,
    })
  } catch (cause) {
    throw new RemoteError(
      'GATEWAY_UNREACHABLE',
      `there is no NATS server at ${url}: ${messageOf(cause)}. Is nats-server running there?`,
      {
        retryable: true,
        data: { url },
        cause,
      },
    )
  }
}

/**
 * Opens a link to one of the gateways on a NATS cluster.
 * @param subject where the gateway takes links; default: the queue group of all of them
 * @throws RemoteError `GATEWAY_UNREACHABLE`
 */
export async function connectNats(address: NatsAddress, subject?: string, time: Time = realTime): Promise<Link> {
  const connection = await openNats(address)
  const inbound = createInbox()
  const link = { current: undefined as NatsLink | undefined }
  void connection
    .closed()
    .then((error) => link.current?.lost(error instanceof Error ? error.message : 'the NATS server is gone'))
  try {
    const answer = await connection.request(subject ?? subjects(address).connect, new TextEncoder().encode(inbound), {
      timeout: CONNECT_MS,
    })
    link.current = new NatsLink({
      connection,
      inbound,
      outbound: answer.string(),
      peer: address.url,
      time,
      isDialled: false,
      onEnd: () => void connection.drain().catch(() => {}),
    })
    return link.current
  } catch (cause) {
    await connection.close()
    throw new RemoteError(
      'GATEWAY_UNREACHABLE',
      `no gateway answers over NATS at ${address.url}: ${messageOf(cause)}. Is \`millrace gateway --nats ${address.url}\` running?`,
      { retryable: true, data: { url: address.url }, cause },
    )
  }
}

export interface NatsAcceptor {
  close(): Promise<void>
}

/** Takes links over an open NATS connection: as a member of the queue group, and under the gateway's own name. */
export function acceptNats(
  connection: NatsConnection,
  address: NatsAddress,
  gateway: string,
  onLink: (link: Link) => void,
  time: Time = realTime,
): NatsAcceptor {
  const links = new Set<NatsLink>()
  const names = subjects(address)
  const subscriptions = [
    { subject: names.connect, queue: 'gateways' },
    { subject: names.of(gateway), queue: undefined },
  ].map(({ subject, queue }) =>
    connection.subscribe(subject, {
      ...(queue === undefined ? {} : { queue }),
      callback: (error, message) => {
        if (error !== null || message.reply === undefined) return
        const inbound = createInbox()
        const link: NatsLink = new NatsLink({
          connection,
          inbound,
          outbound: message.string(),
          peer: `nats ${message.string()}`,
          time,
          isDialled: true,
          onEnd: () => links.delete(link),
        })
        links.add(link)
        onLink(link)
        message.respond(inbound)
      },
    }),
  )
  void connection.closed().then((error) => {
    for (const link of [...links]) link.lost(error instanceof Error ? error.message : 'the NATS server is gone')
  })
  return {
    async close() {
      for (const subscription of subscriptions) if (!connection.isClosed()) subscription.unsubscribe()
      if (!connection.isClosed()) await connection.drain()
    },
  }
}
