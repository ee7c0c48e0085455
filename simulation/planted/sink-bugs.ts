/** Mistakes in how output is published. */
import type { Disk, Sink, SinkCommitter } from 'millrace/connector'
import type { PlantedBug } from './bug.ts'

export const publishTwice: PlantedBug = {
  name: 'publish twice',
  mistake: 'publishing again after a crash appends again, and opening does not cut',
  decorate: () => ({
    sink: (sink) =>
      withCommitter(sink, (committer, disk) => ({
        restore: () => {},
        publish: async (_, __, staged) => {
          const file = await disk.open('/sim/out/out', 'append')
          for await (const bytes of staged) await file.append(bytes)
          await file.sync()
          await file.close()
          await disk.syncFolder('/sim/out')
        },
        after: (state, bytes) => committer.after(state, bytes),
        close: () => {},
      })),
  }),
}

export const publishBeforeDecision: PlantedBug = {
  name: 'publish before decision',
  mistake: 'rows are written to the target when they come, not when their epoch is decided',
  decorate: () => ({
    sink: (sink) => ({
      kind: sink.kind,
      guarantee: 'at-least-once',
      describe: () => ({}),
      open: async (ctx) => {
        const writer = await sink.open(ctx)
        await ctx.disk.makeFolder('/sim/out')
        return {
          async write(batch) {
            const bytes = (await writer.write(batch)) as Uint8Array
            const file = await ctx.disk.open('/sim/out/out', 'append')
            await file.append(bytes)
            await file.sync()
            await file.close()
            await ctx.disk.syncFolder('/sim/out')
          },
          close() {},
        }
      },
    }),
  }),
}

export const skipPublishOnStart: PlantedBug = {
  name: 'skip publish on start',
  mistake: 'an epoch that was decided and not published before a crash is never published',
  decorate: () => ({
    sink: (sink) =>
      withCommitter(sink, (committer) => {
        let isFirst = true
        return {
          restore: (state) => committer.restore(state),
          after: (state, bytes) => committer.after(state, bytes),
          publish: async (from, to, staged) => {
            const isRepeat = isFirst && from !== undefined
            isFirst = false
            if (!isRepeat) await committer.publish(from, to, staged)
          },
          close: () => committer.close(),
        }
      }),
  }),
}

function withCommitter(
  sink: Sink<unknown>,
  change: (committer: SinkCommitter, disk: Disk) => SinkCommitter,
): Sink<unknown> {
  return {
    ...sink,
    committer: async (ctx) => {
      await ctx.disk.makeFolder('/sim/out')
      return change((await sink.committer?.(ctx)) as SinkCommitter, ctx.disk)
    },
  }
}
