/** DAGs out of Kubo: whole ones in one request, as it exports them; others block by block. */
import { anySignal, createStallGuard, type Clock } from '@ipfs-cluster/base'
import type { Block } from '@ipfs-cluster/ipfs'
import { CarError, dagBlocks, readCar } from '@ipfs-cluster/ipfs/car'
import type { CID } from 'multiformats/cid'
import { badAnswer, timedOut } from './errors.ts'
import type { KuboClient } from './kubo-client.ts'
import type { DagOptions } from './types.ts'

export interface KuboDagComponents {
  readonly client: KuboClient
  readonly clock: Clock
}

/** @param stallMs the daemon may take this long for a block, which it may have to fetch; a slow consumer does not count. */
export function dagFromKubo(
  components: KuboDagComponents,
  stallMs: number,
  root: CID,
  { maxDepth, signal }: DagOptions,
): AsyncGenerator<Block> {
  if (maxDepth === undefined) return exported(components, stallMs, root, signal)
  const read = (cid: CID, reading: AbortSignal | undefined) =>
    components.client.bytes(`block/get?arg=${cid}`, {
      signal: anySignal(reading, signal),
      timeoutMs: stallMs,
    })
  return dagBlocks(root, read, { maxDepth })
}

async function* exported(
  { client, clock }: KuboDagComponents,
  stallMs: number,
  root: CID,
  signal: AbortSignal | undefined,
): AsyncGenerator<Block> {
  const path = `dag/export?arg=${root}&progress=false`
  let waiting = true
  using guard = createStallGuard(clock, stallMs, () => waiting)
  const answer = async function* () {
    for await (const piece of client.stream(path, { signal: anySignal(guard.signal, signal) })) {
      guard.progress()
      yield piece
    }
  }
  try {
    const { blocks } = await readCar(answer())
    for await (const block of blocks) {
      waiting = false
      yield block
      guard.progress()
      waiting = true
    }
  } catch (error) {
    if (guard.signal.aborted && signal?.aborted !== true) throw timedOut(path, stallMs, 'no further block')
    throw error instanceof CarError ? badAnswer(path, error.message, error) : error
  }
}
