/** Window join: all pairs of rows with one key that share a window. The kind of window picks the operator. */
import { UsageError } from '../errors.ts'
import type { Edge, Graph, GraphNode } from '../graph/node.ts'
import type { OperatorContext } from '../graph/operator.ts'
import { gridOf } from '../window/grid.ts'
import type { SessionWindow, TimeWindow, WindowOptions, WindowSpec } from '../window/types.ts'
import { SessionJoin } from './join-session.ts'
import { slicedJoin } from './join-sliced.ts'
import { checkJoinType, type JoinType } from './join-types.ts'
import { nodeOptions, type StepOptions } from './step-options.ts'

/** The windows that rows can be joined in: tumbling, hopping, session. */
export type JoinWindow = TimeWindow | SessionWindow

export interface WindowJoinOptions extends Omit<StepOptions, 'onError'>, Pick<WindowOptions, 'offset' | 'timeZone'> {
  readonly name: string
  readonly left: Edge
  readonly right: Edge
  /** Default 'inner'. */
  readonly type?: JoinType
  readonly window: JoinWindow
}

/**
 * Joins rows of two keyed inputs that lie in one window; a session is that of both inputs together.
 * Output, when the watermark reaches the window's end and with event time `end - 1`: `{ key, left, right, window }`,
 * keyed, lefts by time and for each its rights by time. Rows whose windows all have ended go to the side output `late`.
 * Inner joins take retractions: the weight of a pair is the product of its rows' weights.
 * @throws UsageError `JOIN_WINDOW` for another kind of window, `JOIN_TYPE`, `DURATION`, `WINDOW_TIMEZONE`
 */
export function windowJoin(graph: Graph, options: WindowJoinOptions): GraphNode {
  const { name, window } = options
  const type = checkJoinType(name, options.type)
  if (window.type !== 'time' && window.type !== 'session') {
    throw new UsageError(
      'JOIN_WINDOW',
      `join "${name}" was given a window of type ${JSON.stringify((window as WindowSpec).type)}; rows can be joined in tumbling, hopping and session windows.`,
      { step: name },
    )
  }
  const { buffer, ...bounds } = { buffer: undefined, ...window }
  const { offset, timeZone } = options
  const create =
    window.type === 'session'
      ? (ctx: OperatorContext) => new SessionJoin(ctx, type, window)
      : slicedJoin(type, gridOf(window, options))
  return graph.add({
    kind: 'join',
    name,
    inputs: [options.left, options.right],
    spec: {
      type: 'operator',
      create,
      outputs: ['late'],
      keepsKeys: true,
      changes: 'keeps',
      describe: {
        type,
        window: bounds,
        ...(offset === undefined ? {} : { offset }),
        ...(timeZone === undefined ? {} : { timeZone }),
      },
    },
    ...nodeOptions(buffer === undefined ? options : { buffer, ...options }),
  })
}
