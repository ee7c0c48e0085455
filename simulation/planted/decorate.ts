/** Small tools for decorating ports. */
import type { Disk, DiskFile } from 'millrace/connector'
import type { SimDecorators } from 'millrace/testing'

type Step = Parameters<NonNullable<SimDecorators['step']>>[0]
type OperatorSpec = Extract<Step, { readonly type: 'operator' }>
export type Context = Parameters<OperatorSpec['create']>[0]
export type Operator = ReturnType<OperatorSpec['create']>

/** An object whose members are those of `changes`, else those of `original`, bound to it. */
export function changed<T extends object>(original: T, changes: Partial<T>): T {
  return new Proxy(original, {
    get(target, name) {
      if (name in changes) return changes[name as keyof T]
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

/** A disk whose opened files are changed. */
export function changedFiles(disk: Disk, change: (file: DiskFile, path: string) => Partial<DiskFile>): Disk {
  return changed(disk, {
    open: async (path, mode) => {
      const file = await disk.open(path, mode)
      return changed(file, change(file, path))
    },
  })
}

/** Decorates the context that every operator is made with, and the operator. */
export function changedSteps(
  context: (ctx: Context) => Context,
  operator: (operator: Operator, ctx: Context) => Operator = (made) => made,
): SimDecorators {
  return {
    step(spec) {
      if (spec.type !== 'operator') return spec
      return {
        ...spec,
        create: (ctx) => {
          const given = context(ctx)
          return operator(spec.create(given), given)
        },
      }
    },
  }
}
