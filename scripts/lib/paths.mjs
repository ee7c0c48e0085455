import path from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../../', import.meta.url))

/** What the scripts fetch and their locks; ignored by git. */
export const toolFolder = path.join(root, '.node')
