/** What sources over iterables have in common: where they go on, and what can be iterated only once. */
import { OperationalError, type Position, type SourceContext } from 'millrace/connector'

/** Rows given before `position`. @throws OperationalError `GENERATE_POSITION` */
export function rowsBefore(position: Position | undefined, ctx: SourceContext): number {
  if (position === undefined) return 0
  if (Number.isSafeInteger(position) && (position as number) >= 0) return position as number
  throw new OperationalError(
    'GENERATE_POSITION',
    `"${ctx.step}" cannot go on at ${JSON.stringify(position)}: it was written by another source. Start without the old state.`,
    { step: ctx.step, data: { position } },
  )
}

export function spentError(ctx: SourceContext): OperationalError {
  return new OperationalError(
    'ITERABLE_SPENT',
    `"${ctx.step}" was started again, but what it reads can be iterated only once, and was: the rest is lost. Give a function that makes it: fromIterable(() => ...).`,
    { step: ctx.step },
  )
}
