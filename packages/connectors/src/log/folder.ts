/** The folder of a log: made when it is missing, refused when it lies on another machine. */
import { mkdir, stat, statfs } from 'node:fs/promises'
import path from 'node:path'
import { messageOf, OperationalError } from 'millrace/connector'
import { databaseFile } from './names.ts'

/** Types of Linux file systems whose memory maps or locks other machines do not see, or that may be such (FUSE). */
const NETWORK: Readonly<Record<number, string>> = {
  26985: 'nfs',
  20859: 'smb',
  4283649346: 'cifs',
  4266872130: 'smb2',
  1397113167: 'afs',
  16914839: '9p',
  1702057286: 'fuse',
  12805120: 'ceph',
  198183888: 'lustre',
  1196443219: 'gpfs',
  428016422: 'beegfs',
  1952539503: 'ocfs2',
  18225520: 'gfs2',
  1937076805: 'coda',
}

/**
 * Makes the folder, returns the path of the log's file in it.
 * @throws OperationalError `LOG_FOLDER`, `LOG_NETWORK`
 */
export async function prepareFolder(folder: string): Promise<string> {
  const absolute = path.resolve(folder)
  let type: number
  try {
    await makeFolder(absolute)
    type = (await statfs(absolute)).type >>> 0
  } catch (thrown) {
    throw new OperationalError(
      'LOG_FOLDER',
      `the folder "${folder}" of the log cannot be made or looked at: ${messageOf(thrown)}. Give one that this process may write.`,
      { cause: thrown, data: { folder } },
    )
  }
  checkFileSystem(folder, process.platform === 'linux' ? type : 0)
  return databaseFile(absolute)
}

/** Not `mkdir` with `recursive`: where a file system refuses, as /proc does, that tries for ever. */
async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder)
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException
    if (code === 'EEXIST' && (await stat(folder)).isDirectory()) return
    const parent = path.dirname(folder)
    if (code !== 'ENOENT' || parent === folder) throw thrown
    await makeFolder(parent)
    await mkdir(folder).catch((again: NodeJS.ErrnoException) => {
      // Another process may have been faster.
      if (again.code !== 'EEXIST') throw again
    })
  }
}

/** @throws OperationalError `LOG_NETWORK` */
export function checkFileSystem(folder: string, type: number): void {
  const name = NETWORK[type]
  if (name === undefined) return
  throw new OperationalError(
    'LOG_NETWORK',
    `the folder "${folder}" lies on a ${name} file system. The processes of a log share memory through its files, which such file systems do not give: records could be lost. Put the log on a local disk; for several machines use Kafka.`,
    { data: { folder, fileSystem: name } },
  )
}
