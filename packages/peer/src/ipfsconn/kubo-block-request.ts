/** One request that takes blocks to Kubo as they come, under back-pressure. */
import type { NodeWithMeta } from '@ipfs-cluster/api'
import { createStallGuard, type Clock, type Random } from '@ipfs-cluster/base'
import { timedOut } from './errors.ts'
import type { BlockForm } from './kubo-block-forms.ts'
import type { KuboClient } from './kubo-client.ts'
import type { BodyWriter } from './kubo-request.ts'

/** Random bytes of a boundary: nobody may craft a block that contains it. */
const BOUNDARY_BYTES = 16

export interface BlockRequestComponents {
  readonly client: KuboClient
  readonly clock: Clock
  readonly random: Random
}

export interface BlockRequestOptions {
  readonly form: (boundary: string) => BlockForm
  /** The daemon may take this many milliseconds to accept or confirm something; waiting for `blocks` does not count. */
  readonly stallMs: number
  readonly signal: AbortSignal
  /** As in `BlockStreamOptions`. @default false */
  readonly owned?: boolean
}

/**
 * Resolves when the daemon has confirmed every block.
 *
 * @throws IpfsError
 */
export async function sendBlocks(
  { client, clock, random }: BlockRequestComponents,
  blocks: AsyncIterable<NodeWithMeta>,
  { form: formOf, stallMs, signal, owned = false }: BlockRequestOptions,
): Promise<void> {
  const boundary = `ipfs-cluster-${random.bytes(BOUNDARY_BYTES).toHex()}`
  const form = formOf(boundary)
  let waiting = 0
  using guard = createStallGuard(clock, stallMs, () => waiting > 0)
  const owed = { enter: () => waiting++ === 0 && guard.progress(), leave: () => waiting-- }
  const body = async (writer: BodyWriter) => {
    const write = async (data: Uint8Array, onSent?: () => void) => {
      owed.enter()
      await writer.write(data, onSent)
      owed.leave()
      guard.progress()
    }
    if (form.opening.length > 0) await write(form.opening)
    for await (const block of blocks) {
      const writes = form.block(block)
      const onSent = owned ? () => block.giveBack?.() : undefined
      for (const [i, data] of writes.entries())
        await write(data, i === writes.length - 1 ? onSent : undefined)
    }
    await write(form.closing)
    owed.enter()
  }
  try {
    const answers = client.lines(form.path, {
      signal: AbortSignal.any([signal, guard.signal]),
      headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
      body,
    })
    for await (const answer of answers) {
      guard.progress()
      form.answered(answer)
    }
  } catch (error) {
    throw guard.signal.aborted && !signal.aborted ? timedOut(form.path, stallMs, 'no block stored') : error
  }
  form.ended()
}
