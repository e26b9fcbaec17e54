/** `repo/…`. */
import { isFailure } from '../errors.ts'
import type { Command } from './command.ts'
import { refused } from './errors.ts'
import { PROGRESS_MS } from './limits.ts'

/** Of the built-in node's own layout. */
export const REPO_VERSION = '1'

export const repoStat: Command = {
  options: { 'size-only': { kind: 'bool', short: 's' }, human: { kind: 'bool', short: 'H' } },
  async run({ node, options, answer }) {
    const { repoSize, storageMax, numObjects } = await node.repo.stat()
    const isShort = options.flag('size-only') ?? false
    await answer.once({
      RepoSize: Number(repoSize),
      StorageMax: Number(storageMax),
      NumObjects: isShort ? 0 : numObjects,
      RepoPath: isShort ? '' : node.details.path,
      Version: isShort ? '' : `ipfs-cluster-repo@${REPO_VERSION}`,
    })
  },
}

export const repoVersion: Command = {
  options: { quiet: { kind: 'bool', short: 'q' } },
  run: ({ answer }) => answer.once({ Version: REPO_VERSION }),
}

export const repoGc: Command = {
  options: {
    'stream-errors': { kind: 'bool' },
    quiet: { kind: 'bool', short: 'q' },
    silent: { kind: 'bool' },
  },
  async run({ node, options, answer, signal }) {
    const isSilent = options.flag('silent') ?? false
    try {
      for await (const cid of node.repo.gc({ signal })) {
        if (!isSilent) await answer.line({ Key: { '/': cid.toString() } })
      }
    } catch (error) {
      signal.throwIfAborted()
      if (options.flag('stream-errors') !== true) throw error
      await answer.line({ Key: null, Error: error instanceof Error ? error.message : String(error) })
      throw refused('encountered errors during gc run', error)
    }
  },
}

export const repoVerify: Command = {
  options: { drop: { kind: 'bool' }, heal: { kind: 'bool' } },
  async run({ node, options, answer, clock, signal }) {
    if (options.flag('drop') === true || options.flag('heal') === true) {
      throw refused(
        'drop and heal are not needed: a damaged block is put aside when it is read, and fetched anew by its pin',
      )
    }
    answer.lines()
    using here = node.details.session({ signal, fetch: false })
    let checked = 0
    let damaged = 0
    let lastTold = Number.NEGATIVE_INFINITY
    for await (const cid of node.details.blocks.list({ signal })) {
      checked++
      try {
        await here.get(cid, { signal })
      } catch (error) {
        // A collection may have taken it since.
        if (isFailure(error, 'IPFS_BLOCK_MISSING')) continue
        if (!isFailure(error, 'IPFS_BLOCK_CORRUPT')) throw error
        damaged++
        await answer.line({ Msg: `block ${cid} was corrupt (${error.message})`, Progress: 0 })
      }
      if (clock.monotonic() - lastTold < PROGRESS_MS) continue
      lastTold = clock.monotonic()
      await answer.line({ Msg: '', Progress: checked })
    }
    if (damaged > 0) throw refused(`verify complete, some blocks were corrupt: ${damaged}`)
    await answer.line({ Msg: 'verify complete, all blocks validated.', Progress: 0 })
  },
}
