/** Where gateways meet over NATS. In a file of its own: whoever reads our types does not need those of NATS. */
export interface NatsAddress {
  /** `nats://host:4222`, several with commas between them. */
  readonly url: string
  /** First word of every subject. Default 'millrace'. */
  readonly prefix?: string
}
