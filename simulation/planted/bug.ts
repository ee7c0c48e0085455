/** A bug planted from outside: decorators of what the engine runs on. Production code is never changed. */
import type { SimDecorators } from 'millrace/testing'

export interface PlantedBug {
  readonly name: string
  /** What an engine with this mistake does. */
  readonly mistake: string
  readonly decorate: () => SimDecorators
}
