/** `dag/…`, but for `dag/import`. */
import type { CID } from 'multiformats/cid'
import { FingerprintSet } from '../blocks/fingerprint-set.ts'
import { blockKey, dagBlocks, writeCar } from '../unixfs/car.ts'
import { isFailure } from '../errors.ts'
import { linksOf } from '../links.ts'
import type { Block } from '../types.ts'
import { one } from './block.ts'
import { cidOf, codecOf, decodeAs, encodeAs, hashOf } from './codecs.ts'
import type { Call, Command } from './command.ts'
import { readerOf } from './content.ts'
import { refused } from './errors.ts'
import { MAX_OBJECT_BYTES, PROGRESS_MS } from './limits.ts'
import { fieldOf, resolve, resolveToCid } from './paths.ts'
import { checkBlockSize, wholePart } from './uploads.ts'

const DAG_JSON = 0x0129

export const dagPut: Command = {
  file: 'object data',
  options: {
    'store-codec': { kind: 'string' },
    'input-codec': { kind: 'string' },
    pin: { kind: 'bool' },
    hash: { kind: 'string' },
    'allow-big-block': { kind: 'bool' },
  },
  async run({ node, options, uploads, answer, signal }) {
    const input = codecOf(options.text('input-codec') || 'dag-json')
    const store = codecOf(options.text('store-codec') || 'dag-cbor')
    const hash = hashOf(options.text('hash') || 'sha2-256')
    using _held = node.hold()
    for await (const part of uploads()) {
      const data = encodeAs(store, decodeAs(input, await wholePart(part, MAX_OBJECT_BYTES)))
      checkBlockSize(data.length, options.flag('allow-big-block') ?? false)
      const cid = cidOf(data, store, hash)
      await node.blocks.put([{ cid, data }], { signal })
      if (options.flag('pin') === true) await node.pins.add(cid, { signal })
      await answer.line({ Cid: { '/': cid.toString() } })
    }
  },
}

export const dagGet: Command = {
  args: [{ name: 'ref', required: true, fromBody: true }],
  options: { 'output-codec': { kind: 'string' } },
  async run(call) {
    const { options, session, signal, answer } = call
    const output = options.text('output-codec') || 'dag-json'
    const codec = codecOf(output)
    const { cid, remainder } = await resolve(call.args[0] as string, call)
    const data = await session.get(cid, { signal })
    let value = decodeAs(cid.code, data)
    for (const name of remainder) value = fieldOf(value, name)
    // A block that is wanted as it is need not be written anew.
    const isSame = remainder.length === 0 && codec === cid.code && codec !== DAG_JSON
    await answer.bytes(one(isSame ? data : encodeAs(codec, value)))
  },
}

export const dagResolve: Command = {
  args: [{ name: 'ref', required: true, fromBody: true }],
  async run(call) {
    const { cid, remainder } = await resolve(call.args[0] as string, call)
    await call.answer.once({
      Cid: { '/': cid.toString() },
      RemPath: remainder.map(name => `/${name}`).join(''),
    })
  },
}

export const dagExport: Command = {
  args: [{ name: 'root', required: true, fromBody: true }],
  options: { progress: { kind: 'bool', short: 'p' }, 'local-only': { kind: 'bool' } },
  async run(call) {
    const { node, options, answer, signal } = call
    const isLocal = options.flag('local-only') ?? false
    if (isLocal && options.flag('offline') === false) {
      throw refused(
        '--local-only implies --offline and cannot be combined with --offline=false; please drop one of them',
      )
    }
    using here = node.details.session({ signal, fetch: false })
    const session = isLocal ? here : call.session
    const root = await resolveToCid(call.args[0] as string, { session, signal })
    // A missing root is told by the status.
    await session.get(root, { signal })
    const blocks = isLocal ? localBlocks(root, { session, signal }) : dagBlocks(root, readerOf(call))
    await answer.bytes(writeCar(root, blocks), { contentType: 'application/vnd.ipld.car' })
  },
}

/** What is here of a DAG: what is missing is left out, with what is below it. */
async function* localBlocks(
  root: CID,
  { session, signal }: Pick<Call, 'session' | 'signal'>,
): AsyncGenerator<Block> {
  const seen = new FingerprintSet()
  const stack = [root]
  while (true) {
    const cid = stack.pop()
    if (cid === undefined) return
    if (!seen.add(blockKey(cid))) continue
    try {
      const data = await session.get(cid, { signal })
      yield { cid, data }
      for (const link of linksOf(cid, data).toReversed()) stack.push(link)
    } catch (error) {
      if (!isFailure(error, 'IPFS_BLOCK_MISSING', 'IPFS_BLOCK_CORRUPT', 'IPFS_UNKNOWN_CODEC')) throw error
    }
  }
}

export const dagStat: Command = {
  args: [{ name: 'root', required: true, many: true, fromBody: true }],
  options: { progress: { kind: 'bool', short: 'p' } },
  async run(call) {
    const { args, options, answer, clock, cidText } = call
    const isTold = options.flag('progress') ?? true
    const all = args.length > 1 ? new FingerprintSet() : undefined
    const stats: { Cid: string; Size: number; NumBlocks: number }[] = []
    const total = { blocks: 0, bytes: 0, withShared: 0 }
    let lastTold = Number.NEGATIVE_INFINITY
    for (const path of args) {
      const { cid, remainder } = await resolve(path, call)
      if (remainder.length > 0)
        throw refused('cannot return size for anything other than a DAG with a root CID')
      const stat = { Cid: cidText(cid), Size: 0, NumBlocks: 0 }
      stats.push(stat)
      for await (const block of dagBlocks(cid, readerOf(call))) {
        stat.Size += block.data.length
        stat.NumBlocks++
        total.withShared += block.data.length
        if (all === undefined || all.add(blockKey(block.cid))) {
          total.blocks++
          total.bytes += block.data.length
        }
        if (!isTold || clock.monotonic() - lastTold < PROGRESS_MS) continue
        lastTold = clock.monotonic()
        await answer.line({ TotalSize: total.bytes, DagStats: stats })
      }
    }
    const shared = total.withShared - total.bytes
    await answer.line({
      UniqueBlocks: total.blocks,
      TotalSize: total.bytes,
      ...(shared > 0 ? { SharedSize: shared } : {}),
      ...(total.bytes > 0 ? { Ratio: shortFloat(total.withShared / total.bytes) } : {}),
      DagStats: stats,
    })
  },
}

/** The shortest number that is the same in 32 bits, as Go writes a `float32`. */
function shortFloat(value: number): number {
  const wanted = Math.fround(value)
  for (let digits = 1; digits < 10; digits++) {
    const candidate = Number(wanted.toPrecision(digits))
    if (Math.fround(candidate) === wanted) return candidate
  }
  return wanted
}
