/** `block/…`. */
import { errorMessage } from '@ipfs-cluster/base'
import { CID } from 'multiformats/cid'
import { MAX_BLOCK_BYTES } from '../blocks/block-store.ts'
import { SHA2_256 } from '../blocks/hash.ts'
import { cidOf, codecOf, hashOf } from './codecs.ts'
import type { Call, Command } from './command.ts'
import { refused } from './errors.ts'
import { BUSY_BLOCK_MS, BUSY_BLOCK_PAUSE_MS } from './limits.ts'
import { reasonsOf } from './pinned-by.ts'
import { resolve, resolveToCid } from './paths.ts'
import { checkBlockSize, wholePart } from './uploads.ts'

const DAG_PB = 0x70

export const blockStat: Command = {
  args: [{ name: 'cid', required: true, fromBody: true }],
  async run(call) {
    const cid = await resolveToCid(call.args[0] as string, call)
    const here = await call.node.details.blocks.size(cid)
    const size = here ?? (await call.session.get(cid, { signal: call.signal })).length
    await call.answer.once({ Key: call.cidText(cid), Size: size })
  },
}

export const blockGet: Command = {
  args: [{ name: 'cid', required: true, fromBody: true }],
  async run({ args, session, signal, answer, ...call }) {
    const cid = await resolveToCid(args[0] as string, { ...call, session, signal })
    const data = await session.get(cid, { signal })
    await answer.bytes(one(data), { contentType: 'application/vnd.ipld.raw' })
  },
}

export async function* one(data: Uint8Array): AsyncGenerator<Uint8Array> {
  yield data
}

export const blockPut: Command = {
  file: 'data',
  options: {
    'cid-codec': { kind: 'string' },
    mhtype: { kind: 'string' },
    mhlen: { kind: 'int' },
    pin: { kind: 'bool' },
    'allow-big-block': { kind: 'bool' },
    format: { kind: 'string', short: 'f' },
  },
  async run({ node, options, uploads, answer, signal, cidText }) {
    const naming = namingOf(
      options.text('format') ?? '',
      options.text('cid-codec') ?? '',
      hashOf(options.text('mhtype') || 'sha2-256'),
    )
    const length = options.number('mhlen') ?? -1
    const isBigAllowed = options.flag('allow-big-block') ?? false
    // Until the pin is there, nothing else keeps the block.
    using _held = node.hold()
    for await (const part of uploads()) {
      const data = await wholePart(part, MAX_BLOCK_BYTES)
      checkBlockSize(data.length, isBigAllowed)
      const named = cidOf(data, naming.codec, naming.hash, length)
      const cid = naming.isV0 ? CID.createV0(named.multihash as CID<unknown, 112, 18, 0>['multihash']) : named
      await node.blocks.put([{ cid, data }], { signal })
      if (options.flag('pin') === true) await node.pins.add(cid, { signal })
      await answer.line({ Key: cidText(cid), Size: data.length })
    }
  },
}

interface Naming {
  readonly codec: number
  readonly hash: number
  readonly isV0: boolean
}

/** @param format how older clients say it: a codec, or `v0`. @throws RpcError `RPC_REFUSED` */
function namingOf(format: string, codec: string, hash: number): Naming {
  if (format === '') return { codec: codecOf(codec === '' ? 'raw' : codec), hash, isV0: false }
  if (codec !== '' && codec !== 'raw') {
    throw refused('unable to use "format" (deprecated) and a custom "cid-codec" at the same time')
  }
  if (format === 'v0') {
    if (hash !== SHA2_256) throw refused('only sha2-256-32 hash type is allowed for CIDv0')
    return { codec: DAG_PB, hash, isV0: true }
  }
  const names: Readonly<Record<string, string>> = { protobuf: 'dag-pb', cbor: 'dag-cbor' }
  const name = Object.hasOwn(names, format) ? names[format] : undefined
  return { codec: codecOf(name ?? format), hash, isV0: false }
}

/** An add or a pin under way ends its protection of whatever was written meanwhile a moment after; as Kubo waits for its lock, so does this. */
async function removeOnceFree(
  { node, clock, signal }: Call,
  cid: CID,
): Promise<'removed' | 'missing' | 'in use'> {
  const start = clock.monotonic()
  while (true) {
    const outcome = await node.details.blocks.remove(cid)
    if (outcome !== 'in use' || clock.monotonic() - start > BUSY_BLOCK_MS) return outcome
    await clock.sleep(BUSY_BLOCK_PAUSE_MS, { signal })
  }
}

export const blockRm: Command = {
  args: [{ name: 'cid', required: true, many: true }],
  options: { force: { kind: 'bool', short: 'f' }, quiet: { kind: 'bool', short: 'q' } },
  async run(call) {
    const { node, args, options, answer, signal, cidText } = call
    answer.lines()
    const cids: CID[] = []
    for (const path of args) cids.push((await resolve(path, call)).cid)
    const isPinned = await reasonsOf(cids, { node, signal, cidText })
    for (const cid of cids) {
      const error = isPinned(cid) ?? (await remove(cid))
      if (error !== undefined) await answer.line({ Hash: cidText(cid), Error: error })
      else if (options.flag('quiet') !== true) await answer.line({ Hash: cidText(cid) })
    }

    async function remove(cid: CID): Promise<string | undefined> {
      const outcome = await removeOnceFree(call, cid).catch(errorMessage)
      if (outcome === 'removed') return undefined
      if (outcome === 'missing')
        return options.flag('force') === true ? undefined : `ipld: could not find ${cid}`
      return outcome === 'in use' ? 'in use by an add or a pin under way' : outcome
    }
  },
}
