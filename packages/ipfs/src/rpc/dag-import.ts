/** `dag/import`. */
import { errorMessage } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import type { Block } from '../types.ts'
import { linksOf } from '../links.ts'
import { readCar } from '../unixfs/car-reader.ts'
import { dagBlocks } from '../unixfs/car.ts'
import type { Call, Command } from './command.ts'
import { messageOf, refused } from './errors.ts'
import { IMPORT_BLOCKS_AT_ONCE, IMPORT_BYTES_AT_ONCE, MAX_CAR_ROOTS } from './limits.ts'
import { checkBlockSize } from './uploads.ts'

export const dagImport: Command = {
  file: 'path',
  options: {
    'pin-roots': { kind: 'bool' },
    'local-only': { kind: 'bool' },
    silent: { kind: 'bool' },
    stats: { kind: 'bool' },
    'allow-big-block': { kind: 'bool' },
    'fast-provide-root': { kind: 'bool' },
    'fast-provide-dag': { kind: 'bool' },
    'fast-provide-wait': { kind: 'bool' },
  },
  async run(call) {
    const { node, options, answer, uploads } = call
    const isPartial = options.flag('local-only') ?? false
    if (isPartial && options.flag('pin-roots') === true) {
      throw refused(
        '--local-only implies --pin-roots=false and cannot be combined with --pin-roots=true; please drop one of them',
      )
    }
    const isPinned = !isPartial && (options.flag('pin-roots') ?? true)
    // What was imported has no pin until the end.
    using _held = node.hold()
    const roots = new Map<string, CID>()
    const imported = { blocks: 0, bytes: 0 }
    for await (const { kind, content } of uploads()) {
      if (kind !== 'file') throw refused('expected a file handle')
      const car = await readCar(content)
      for (const root of car.roots) roots.set(root.toString(), root)
      if (roots.size > MAX_CAR_ROOTS) throw refused(`more than ${MAX_CAR_ROOTS} roots`)
      await store(call, car.blocks, imported)
    }
    if (isPinned) {
      for (const root of roots.values()) {
        await answer.line({
          Root: { Cid: { '/': root.toString() }, PinErrorMsg: await pinWhole(call, root) },
        })
      }
    }
    if (options.flag('stats') === true) {
      await answer.line({ Stats: { BlockCount: imported.blocks, BlockBytesCount: imported.bytes } })
    }
  },
}

interface Imported {
  blocks: number
  bytes: number
}

/** @throws RpcError `RPC_REFUSED` naming the block at which the import ended; what was written before stays until the next collection. */
async function store(
  { node, options, signal }: Call,
  blocks: AsyncIterable<Block>,
  imported: Imported,
): Promise<void> {
  const isBigAllowed = options.flag('allow-big-block') ?? false
  let batch: Block[] = []
  let bytes = 0
  let previous: CID | undefined
  const write = async () => {
    await node.blocks.put(batch, { signal })
    imported.blocks += batch.length
    imported.bytes += bytes
    batch = []
    bytes = 0
  }
  try {
    for await (const { cid, data } of blocks) {
      check(cid, data, isBigAllowed)
      batch.push({ cid, data })
      bytes += data.length
      previous = cid
      if (batch.length >= IMPORT_BLOCKS_AT_ONCE || bytes >= IMPORT_BYTES_AT_ONCE) await write()
    }
    await write()
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof BlockRefusal)
      throw refused(`import failed at block "${error.cid}": ${error.message}`, error)
    const after = previous === undefined ? '' : ` after block "${previous}"`
    throw refused(`import failed${after}: ${errorMessage(error)}`, error)
  }
}

class BlockRefusal extends Error {
  readonly cid: CID

  constructor(cid: CID, cause: unknown) {
    super(errorMessage(cause), { cause })
    this.cid = cid
  }
}

/** Links that cannot be read could not be followed by anything that pins or collects. */
function check(cid: CID, data: Uint8Array, isBigAllowed: boolean): void {
  try {
    checkBlockSize(data.length, isBigAllowed)
    linksOf(cid, data)
  } catch (error) {
    throw new BlockRefusal(cid, error)
  }
}

/** Pins a root if all of its DAG is here; else says why not. */
async function pinWhole({ node, signal }: Call, root: CID): Promise<string> {
  using here = node.details.session({ signal, fetch: false })
  try {
    for await (const _block of dagBlocks(root, (cid, stop) => here.get(cid, { signal: stop })));
    await node.pins.add(root, { signal })
    return ''
  } catch (error) {
    signal.throwIfAborted()
    return messageOf(error)
  }
}
