/** TCP and UDP as sources and sinks: `@millrace/connectors/socket`. */

export {
  type JsonFormatOptions,
  json,
  type LengthPrefixedOptions,
  lengthPrefixed,
  type SocketFormat,
  text,
} from './format.ts'
export type { PortOptions, SocketAddress } from './listen.ts'
export type { ReconnectOptions } from './reconnect.ts'
export { type TcpClientSinkOptions, tcpClientSink } from './tcp-client-sink.ts'
export { type TcpClientSourceOptions, tcpClientSource } from './tcp-client-source.ts'
export { type TcpServerSinkOptions, tcpServerSink } from './tcp-server-sink.ts'
export { type TcpServerSourceOptions, tcpServerSource } from './tcp-server-source.ts'
export { type UdpSinkOptions, udpSink } from './udp-sink.ts'
export { type UdpSourceOptions, udpSource } from './udp-source.ts'
