/** `refs`, `refs/local`. */
import * as dagPb from '@ipld/dag-pb'
import type { CID } from 'multiformats/cid'
import { FingerprintSet } from '../blocks/fingerprint-set.ts'
import { isLeafCodec, linksOf } from '../links.ts'
import { blockKey } from '../unixfs/car.ts'
import type { Call, Command } from './command.ts'
import { messageOf, refused } from './errors.ts'
import { MAX_DEPTH } from './limits.ts'
import { decodePb, resolve } from './paths.ts'

interface Link {
  readonly name: string
  readonly cid: CID
}

export const refs: Command = {
  args: [{ name: 'ipfs-path', required: true, many: true, fromBody: true }],
  options: {
    format: { kind: 'string' },
    edges: { kind: 'bool', short: 'e' },
    unique: { kind: 'bool', short: 'u' },
    recursive: { kind: 'bool', short: 'r' },
    'max-depth': { kind: 'int' },
  },
  async run(call) {
    const { args, options, answer, signal } = call
    const format = options.text('format') ?? '<dst>'
    const isEdges = options.flag('edges') ?? false
    if (isEdges && format !== '<dst>') throw refused('using format argument with edges is not allowed')
    const isRecursive = options.flag('recursive') ?? false
    const given = options.number('max-depth') ?? -1
    const maxDepth = isRecursive ? (given < 0 ? Number.POSITIVE_INFINITY : given) : 1
    const order = (options.flag('unique') ?? false) ? uniqueOrder(maxDepth) : everyLink(maxDepth)
    const roots: CID[] = []
    for (const path of args) roots.push((await resolve(path, call)).cid)
    answer.lines()
    for (const root of roots) {
      try {
        const shape = isEdges ? '<src> -> <dst>' : format
        for await (const ref of walk(root, order, call))
          await answer.line({ Ref: formatted(shape, ref, call), Err: '' })
      } catch (error) {
        signal.throwIfAborted()
        await answer.line({ Ref: '', Err: messageOf(error) })
      }
    }
  },
}

interface Ref extends Link {
  readonly from: CID
}

function formatted(format: string, { from, cid, name }: Ref, { cidText }: Call): string {
  // By function: a name may hold what `replaceAll` would take for a pattern.
  const parts: Readonly<Record<string, () => string>> = {
    '<src>': () => cidText(from),
    '<dst>': () => cidText(cid),
    '<linkname>': () => name,
  }
  return format.replaceAll(/<src>|<dst>|<linkname>/g, part => parts[part]?.() ?? part)
}

/** What to do with a link met at some depth. */
type Order = (cid: CID, depth: number) => { readonly isTold: boolean; readonly isFollowed: boolean }

function everyLink(maxDepth: number): Order {
  return (_, depth) => ({ isTold: depth <= maxDepth, isFollowed: depth < maxDepth })
}

/** Each block once; with a limit of depth, one that turns up nearer to the root is followed again. */
function uniqueOrder(maxDepth: number): Order {
  if (maxDepth === Number.POSITIVE_INFINITY) {
    const seen = new FingerprintSet()
    return cid => {
      const isNew = seen.add(blockKey(cid))
      return { isTold: isNew, isFollowed: isNew }
    }
  }
  const depths = new Map<string, number>()
  return (cid, depth) => {
    if (depth > maxDepth) return { isTold: false, isFollowed: false }
    const key = cid.toString()
    const before = depths.get(key)
    if (before !== undefined && before <= depth) return { isTold: false, isFollowed: false }
    depths.set(key, depth)
    return { isTold: before === undefined, isFollowed: depth < maxDepth }
  }
}

/** Links depth first, each told once its block is there, as Kubo does. */
async function* walk(root: CID, order: Order, call: Call): AsyncGenerator<Ref> {
  const { session, signal } = call
  const stack: { readonly cid: CID; readonly links: readonly Link[]; next: number }[] = []
  const open = async (cid: CID) => {
    const data = await session.get(cid, { signal })
    stack.push({ cid, links: namedLinks(cid, data), next: 0 })
  }
  await open(root)
  while (true) {
    const top = stack.at(-1)
    if (top === undefined) return
    const link = top.links[top.next++]
    if (link === undefined) {
      stack.pop()
      continue
    }
    const depth = stack.length
    const { isTold, isFollowed } = order(link.cid, depth)
    if (!isTold && !isFollowed) continue
    if (depth > MAX_DEPTH) throw refused(`links more than ${MAX_DEPTH} deep, at ${top.cid}`)
    await open(link.cid)
    if (isTold) yield { ...link, from: top.cid }
    if (!isFollowed) stack.pop()
  }
}

function namedLinks(cid: CID, data: Uint8Array): readonly Link[] {
  if (isLeafCodec(cid)) return []
  if (cid.code === dagPb.code) {
    // Checked by `linksOf`.
    const cids = linksOf(cid, data)
    return decodePb(cid, data).Links.map(({ Name = '' }, i) => ({ name: Name, cid: cids[i] as CID }))
  }
  return linksOf(cid, data).map(link => ({ name: '', cid: link }))
}

export const refsLocal: Command = {
  async run({ node, answer, signal, cidText }) {
    answer.lines()
    for await (const cid of node.details.blocks.list({ signal }))
      await answer.line({ Ref: cidText(cid), Err: '' })
  },
}
