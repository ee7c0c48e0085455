/** Typed columns, which connectors use and the public entry points do not export yet. */
export { ColumnBuilder } from '../../packages/core/src/batch/column-builder.ts'
export { schema } from '../../packages/core/src/batch/schema.ts'
