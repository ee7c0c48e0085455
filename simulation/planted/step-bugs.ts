/** Mistakes in state, timers and watermarks of steps. */
import type { PlantedBug } from './bug.ts'
import { changed, changedSteps } from './decorate.ts'

export const lostLogSection: PlantedBug = {
  name: 'lost log section',
  mistake: 'some changes of state are not in the log of their epoch: every 16th write stays in memory only',
  decorate: () => {
    let writes = 0
    return changedSteps((ctx) =>
      changed(ctx, {
        state: changed(ctx.state, {
          table: (name, options) => {
            const table = ctx.state.table(name, options)
            const unsaved = new Map<unknown, Map<unknown, unknown>>()
            return changed(table, {
              get: (key, sub = '') => (unsaved.get(key)?.get(sub) as never) ?? table.get(key, sub),
              set: (key, value, sub = '', time) => {
                unsaved.get(key)?.delete(sub)
                if (table.has(key, sub) && ++writes % 16 === 0) {
                  if (!unsaved.has(key)) unsaved.set(key, new Map())
                  unsaved.get(key)?.set(sub, value)
                } else table.set(key, value, sub, time)
              },
            })
          },
        }),
      }),
    )
  },
}

export const dropTimersOnRestore: PlantedBug = {
  name: 'drop timers on restore',
  mistake: 'a restored step does not see its timers',
  decorate: () =>
    changedSteps((ctx) =>
      changed(ctx, {
        state: changed(ctx.state, {
          table: (name, options) => {
            const table = ctx.state.table(name, options)
            if (/timer/i.test(name)) for (const outer of [...table.outers()]) table.deleteGroup(outer)
            return table
          },
        }),
      }),
    ),
}

export const watermarkTooEarly: PlantedBug = {
  name: 'watermark too early',
  mistake: 'the disorder of the source is not subtracted: steps hear of a time that is not complete',
  decorate: () =>
    changedSteps(
      (ctx) => ctx,
      (operator) => {
        const watermark = operator.watermark?.bind(operator)
        return changed(operator, { watermark: (time) => watermark?.(time + 400) })
      },
    ),
}

export const callsNotSaved: PlantedBug = {
  name: 'calls not saved',
  mistake: 'records in flight in a step that calls out are not part of the snapshot',
  decorate: () => ({
    step(spec, node) {
      if (spec.type !== 'operator' || node.kind !== 'mapAsync') return spec
      return {
        ...spec,
        create: (ctx) =>
          spec.create(
            changed(ctx, {
              state: changed(ctx.state, {
                table: (name, options) => {
                  const table = ctx.state.table(name, options)
                  for (const outer of [...table.outers()]) table.deleteGroup(outer)
                  return table
                },
              }),
            }),
          ),
      }
    },
  }),
}
