/** The asking end: commands that talk to a running flow. */
import { connect } from 'node:net'
import { OperationalError } from 'millrace'
import type { ControlFile } from './control-file.ts'
import type { ControlReply, ControlRequest } from './control-server.ts'

/** Answers one by one. @throws OperationalError `CONTROL_GONE` when nobody listens, or the process died before it answered */
export async function* ask(control: ControlFile, request: ControlRequest): AsyncGenerator<ControlReply> {
  const socket = connect(control.endpoint)
  socket.setEncoding('utf8')
  socket.write(`${JSON.stringify(request)}\n`)
  let text = ''
  try {
    for await (const chunk of socket) {
      text += chunk
      for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
        yield JSON.parse(text.slice(0, end)) as ControlReply
        text = text.slice(end + 1)
      }
    }
  } catch (error) {
    throw new OperationalError('CONTROL_GONE', `process ${control.pid} of flow "${control.flow}" does not answer.`, {
      cause: error,
    })
  } finally {
    socket.destroy()
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
