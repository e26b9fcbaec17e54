import { asError, errorCode, lengthOf, raceSignal, type AbortOptions, type Limiter } from '@ipfs-cluster/base'
import { IpfsNodeError, repoFull } from '../errors.ts'
import { hasNoLinks } from '../links.ts'
import type { Block } from '../types.ts'
import type { BlockIndex } from './block-index.ts'
import { keyOf, recordLength } from './record.ts'
import type { NewRecord, SegmentWriter, Written } from './segment-writer.ts'

/** Bytes written and synced together at most, unless a single block is bigger. */
const GROUP_BYTES = 8 * 1024 * 1024
/** Bytes waiting to be written or synced; callers of `put` wait while there are more. */
const QUEUE_BYTES = 48 * 1024 * 1024

export interface GroupCommitComponents {
  readonly index: BlockIndex
  readonly writer: SegmentWriter
  /** For messages. */
  readonly folder: string
  /** Held while a group is written. */
  readonly writing: Limiter
  /** Held while a group is synced and indexed. */
  readonly committing: Limiter
  /** Bytes that may still be stored, by what is in the index now. */
  readonly quota: () => number
  /** Bytes that may still be written to the disk. */
  readonly diskFree: () => Promise<number>
  /** Told of what was not here before, once it is durable. */
  readonly onStored: (blocks: readonly Block[]) => void
}

/**
 * Puts that arrive while a group is being written share the next one: one write, one sync, one batch of index rows. The next group is
 * written while the last one is synced.
 */
export interface GroupCommit {
  /** Durable when it resolves. @throws IpfsNodeError `IPFS_REPO_FULL` */
  put(blocks: readonly Block[], options?: AbortOptions): Promise<void>
  /** Refuses more and resolves when nothing is under way. */
  close(): Promise<void>
}

export function createGroupCommit(components: GroupCommitComponents): GroupCommit {
  return new Committer(components)
}

/** What one call of `put` wants to be stored, all or nothing. */
interface PutRequest {
  readonly blocks: readonly Block[]
  readonly bytes: number
  readonly done: PromiseWithResolvers<void>
}

class Committer implements GroupCommit {
  readonly #components: GroupCommitComponents
  #queue: PutRequest[] = []
  #queuedBytes = 0
  #draining: Promise<void> | undefined
  #room: PromiseWithResolvers<void> | undefined
  /** Blocks written but not in the index yet, with the outcome of their group. */
  readonly #uncommitted = new Map<string, Promise<void>>()
  #uncommittedBytes = 0
  #closed = false

  constructor(components: GroupCommitComponents) {
    this.#components = components
  }

  async put(blocks: readonly Block[], { signal }: AbortOptions = {}): Promise<void> {
    const waiting: Promise<void>[] = []
    for (const part of parts(blocks)) {
      signal?.throwIfAborted()
      if (this.#queuedBytes >= QUEUE_BYTES) await this.#waitForRoom(signal)
      if (this.#closed) throw closed(this.#components.folder)
      waiting.push(this.#enqueue(part))
    }
    await raceSignal(Promise.all(waiting), signal)
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#draining
  }

  async #waitForRoom(signal: AbortSignal | undefined): Promise<void> {
    while (this.#queuedBytes >= QUEUE_BYTES) {
      this.#room ??= Promise.withResolvers()
      await raceSignal(this.#room.promise, signal)
    }
  }

  #enqueue(blocks: readonly Block[]): Promise<void> {
    const request = { blocks, bytes: totalBytes(blocks), done: Promise.withResolvers<void>() }
    // The caller may have stopped waiting by the time it fails.
    request.done.promise.catch(() => undefined)
    this.#queue.push(request)
    this.#queuedBytes += request.bytes
    this.#draining ??= this.#drain()
    return request.done.promise
  }

  /** Ends when the queue is empty; whoever enqueues after that starts it anew. */
  async #drain(): Promise<void> {
    let previous = Promise.resolve()
    while (this.#queue.length > 0) {
      const group = this.#takeGroup()
      const { finished } = await this.#components.writing.run(() => this.#write(group))
      await previous
      previous = finished.then(() => {
        for (const { bytes } of group) this.#queuedBytes -= bytes
        this.#room?.resolve()
        this.#room = undefined
      })
      if (this.#queue.length === 0) await previous
    }
    this.#draining = undefined
  }

  #takeGroup(): PutRequest[] {
    let bytes = 0
    let count = 0
    for (const request of this.#queue) {
      if (count > 0 && bytes + request.bytes > GROUP_BYTES) break
      bytes += request.bytes
      count++
    }
    return this.#queue.splice(0, count)
  }

  /** Writes a group and starts its commit. Neither rejects: every request learns its own fate. */
  async #write(group: readonly PutRequest[]): Promise<{ readonly finished: Promise<void> }> {
    const { quota, diskFree, writer, folder } = this.#components
    try {
      const { known, waited } = await this.#lookUp(group)
      const disk = await diskFree()
      // In one go: in between a commit would move its bytes from one account to the other.
      const left = quota() - this.#uncommittedBytes
      const { fresh, accepted } = select(group, known, {
        quota: left,
        disk,
        folder,
      })
      const commits =
        fresh.size === 0 ? waited : [...waited, this.#commit(await writer.write([...fresh.values()]), fresh)]
      return {
        finished: Promise.all(commits).then(
          () => accepted.forEach(({ done }) => done.resolve()),
          (error: unknown) => rejectAll(accepted, error, folder),
        ),
      }
    } catch (error) {
      rejectAll(group, error, folder)
      return { finished: Promise.resolve() }
    }
  }

  /** Which blocks of the group need not be written, and the commits that some of these still wait for. */
  async #lookUp(
    group: readonly PutRequest[],
  ): Promise<{ readonly known: ReadonlySet<string>; readonly waited: readonly Promise<void>[] }> {
    const multihashes = group.flatMap(({ blocks }) => blocks.map(({ cid }) => cid.multihash.bytes))
    // Before the index: a commit may end while it is asked, but none can begin.
    const waiting = new Map(
      multihashes.map(keyOf).flatMap(key => {
        const commit = this.#uncommitted.get(key)
        return commit === undefined ? [] : [[key, commit] as const]
      }),
    )
    const locations = await this.#components.index.locateMany(multihashes)
    const known = new Set(waiting.keys())
    for (const [i, multihash] of multihashes.entries())
      if (locations[i] !== undefined) known.add(keyOf(multihash))
    return { known, waited: [...new Set(waiting.values())] }
  }

  async #commit(written: Written, fresh: ReadonlyMap<string, NewRecord>): Promise<void> {
    const { committing, writer } = this.#components
    let bytes = 0
    for (const { multihash, content } of fresh.values()) bytes += recordLength(multihash, lengthOf(content))
    this.#uncommittedBytes += bytes
    // The index has them from then on: never in both accounts, nor in neither.
    const counted = () => {
      this.#uncommittedBytes -= bytes
      bytes = 0
    }
    const commit = committing.run(() => writer.commit(written, counted))
    for (const key of fresh.keys()) this.#uncommitted.set(key, commit)
    try {
      await commit
    } finally {
      counted()
      for (const key of fresh.keys()) this.#uncommitted.delete(key)
    }
    this.#components.onStored([...fresh.values()].map(({ content }) => content))
  }
}

/** The blocks to write, by multihash, and the requests they belong to; requests that do not fit are rejected whole. */
function select(
  group: readonly PutRequest[],
  known: ReadonlySet<string>,
  free: { readonly quota: number; readonly disk: number; readonly folder: string },
): { readonly fresh: ReadonlyMap<string, NewRecord>; readonly accepted: readonly PutRequest[] } {
  const fresh = new Map<string, NewRecord>()
  const accepted: PutRequest[] = []
  let { quota, disk } = free
  for (const request of group) {
    const wanted = new Map<string, NewRecord>()
    let needed = 0
    for (const block of request.blocks) {
      const multihash = block.cid.multihash.bytes
      const key = keyOf(multihash)
      if (known.has(key) || fresh.has(key) || wanted.has(key)) continue
      wanted.set(key, { multihash, content: block, leaf: hasNoLinks(block) })
      needed += recordLength(multihash, lengthOf(block))
    }
    if (needed > 0 && needed > Math.min(quota, disk)) {
      const limit = quota < disk ? 'storageMax' : 'disk'
      request.done.reject(repoFull(free.folder, needed, Math.max(0, Math.min(quota, disk)), limit))
      continue
    }
    quota -= needed
    disk -= needed
    for (const [key, record] of wanted) fresh.set(key, record)
    accepted.push(request)
  }
  return { fresh, accepted }
}

function rejectAll(group: readonly PutRequest[], error: unknown, folder: string): void {
  const needed = group.reduce((sum, { bytes }) => sum + bytes, 0)
  const failure = isDiskFull(error) ? repoFull(folder, needed, 0, 'disk', error) : asError(error)
  for (const { done } of group) done.reject(failure)
}

/** Slices of at most a group's size. */
function* parts(blocks: readonly Block[]): Generator<readonly Block[]> {
  let part: Block[] = []
  let bytes = 0
  for (const block of blocks) {
    const length = lengthOf(block)
    if (part.length > 0 && bytes + length > GROUP_BYTES) {
      yield part
      part = []
      bytes = 0
    }
    part.push(block)
    bytes += length
  }
  if (part.length > 0) yield part
}

function totalBytes(blocks: readonly Block[]): number {
  return blocks.reduce((sum, block) => sum + recordLength(block.cid.multihash.bytes, lengthOf(block)), 0)
}

function closed(path: string): IpfsNodeError {
  return new IpfsNodeError(`the block store ${path} is closed`, { code: 'IPFS_REPO_CLOSED', path })
}

function isDiskFull(error: unknown): boolean {
  const code = errorCode(error)
  return code === 'ENOSPC' || code === 'EDQUOT' || code === 'STORE_FULL'
}
