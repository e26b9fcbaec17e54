import type { CID } from 'multiformats/cid'
import { command, text } from '@ipfs-cluster/base/cli'
import { ApiError } from '@ipfs-cluster/api'
import { LocalFailure } from '../failure.ts'
import { createProgress } from '../progress.ts'
import type { Session } from '../session.ts'
import { readCid } from './shared.ts'

/** Where the archive goes. */
type Write = (bytes: Uint8Array) => Promise<void>

export const exportCommand = command({
  name: 'export',
  usage: 'Get the content of a pin as a CAR file',
  argsUsage: '<CID>',
  description: `Writes what the pin keeps to standard output, or to a file, as a CARv1: all of its DAG, or as
much of it as is pinned. It comes from a peer that keeps it, and can be imported again with
"add --format car", or "ipfs dag import". A file appears when it is complete.`,
  flags: { output: text('output, o', 'Write to this file') },
  async run(session: Session, { values, args }) {
    const cid = readCid('parsing cid', args[0])
    if (values.output !== '') return await toFile(session, cid, values.output)
    const { stdoutBytes } = session.io
    if (stdoutBytes === undefined) {
      throw new LocalFailure(
        '',
        'a CAR is no text for a terminal: name a file with -o, or redirect the output',
      )
    }
    await receive(session, cid, stdoutBytes)
  },
})

async function toFile(session: Session, cid: CID, path: string): Promise<void> {
  const doing = 'writing output file'
  const failing = <T>(work: Promise<T>): Promise<T> =>
    work.catch((cause: unknown) => Promise.reject(new LocalFailure(doing, cause)))
  const file = await failing(session.io.files.create(path))
  try {
    await receive(session, cid, bytes => failing(file.write(bytes)))
  } catch (error) {
    // The first failure is the one to tell.
    await file.discard().catch(() => undefined)
    throw error
  }
  await failing(file.finish())
}

/** Reads all of it; on a terminal a line shows how far it is. */
async function receive(session: Session, cid: CID, write: Write): Promise<void> {
  const { io, client, encoding } = session
  const { terminal } = io
  await using progress =
    terminal === undefined || encoding === 'json'
      ? undefined
      : createProgress(terminal, sizeOf(session, cid), io.clock)
  for await (const piece of client.exportCar({ cid })) {
    await write(piece)
    progress?.add(piece.length)
  }
}

/** The archive has some bytes more than its content, for each block: not enough to matter. */
async function sizeOf({ client }: Session, cid: CID): Promise<number | undefined> {
  try {
    const { size } = await client.allocation({ cid })
    return size === undefined ? undefined : Number(size)
  } catch (error) {
    // The export tells what is wrong.
    if (error instanceof ApiError) return undefined
    throw error
  }
}
