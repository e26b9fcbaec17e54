/** `pin/…`: the pins of this node alone; a cluster does not learn of them. */
import type { CID } from 'multiformats/cid'
import { FingerprintSet } from '../blocks/fingerprint-set.ts'
import { isFailure } from '../errors.ts'
import { isKnownLeaf, linksOf } from '../links.ts'
import { walkDag } from '../pins/walk.ts'
import type { PinKind, PinProgress } from '../types.ts'
import type { Call, Command } from './command.ts'
import { messageOf, refused } from './errors.ts'
import { MAX_BAD_NODES, MAX_LISTED_AT_ONCE, MAX_PIN_NAME_BYTES, PROGRESS_MS } from './limits.ts'
import { resolve } from './paths.ts'
import { reasonsOf, walkHere } from './pinned-by.ts'

const RECURSIVE = { recursive: { kind: 'bool', short: 'r' } } as const
const FAST_PROVIDE = {
  'fast-provide-root': { kind: 'bool' },
  'fast-provide-dag': { kind: 'bool' },
  'fast-provide-wait': { kind: 'bool' },
} as const
const VERIFY_CONCURRENCY = 8

export const pinAdd: Command = {
  args: [{ name: 'ipfs-path', required: true, many: true, fromBody: true }],
  options: {
    ...RECURSIVE,
    ...FAST_PROVIDE,
    name: { kind: 'string', short: 'n' },
    progress: { kind: 'bool' },
  },
  async run(call) {
    const { node, args, options, answer, clock, signal, cidText } = call
    const kind: PinKind = (options.flag('recursive') ?? true) ? 'recursive' : 'direct'
    const name = pinName(call)
    const isTold = options.flag('progress') ?? false
    const done = { blocks: 0, bytes: 0 }
    let now: PinProgress = { blocks: 0, bytes: 0, fetchedBlocks: 0 }
    const progress = () => ({ Progress: done.blocks + now.blocks, Bytes: done.bytes + now.bytes })
    const ended = new AbortController()
    const telling = isTold ? tell() : Promise.resolve()
    const pins: string[] = []
    try {
      for (const path of args) {
        const { cid } = await resolve(path, call)
        await node.pins.add(cid, { signal, kind, name, onProgress: each => (now = each) })
        pins.push(cidText(cid))
        done.blocks += now.blocks
        done.bytes += now.bytes
        now = { blocks: 0, bytes: 0, fetchedBlocks: 0 }
      }
    } finally {
      ended.abort()
      await telling
    }
    if (!isTold) return await answer.once({ Pins: pins })
    if (done.blocks > 0) await answer.line(progress())
    await answer.line({ Pins: pins })

    async function tell(): Promise<void> {
      try {
        while (true) {
          await clock.sleep(PROGRESS_MS, { signal: ended.signal })
          await answer.line(progress())
        }
      } catch (error) {
        if (!ended.signal.aborted && !signal.aborted) throw error
      }
    }
  },
}

function pinName({ options }: Call): string {
  const name = options.text('name') ?? ''
  const bytes = Buffer.byteLength(name)
  if (bytes > MAX_PIN_NAME_BYTES)
    throw refused(`pin name is ${bytes} bytes (max ${MAX_PIN_NAME_BYTES} bytes)`)
  return name
}

export const pinRm: Command = {
  args: [{ name: 'ipfs-path', required: true, many: true, fromBody: true }],
  options: RECURSIVE,
  async run(call) {
    const { node, args, options, answer, signal, cidText } = call
    const isRecursive = options.flag('recursive') ?? true
    const pins: string[] = []
    for (const path of args) {
      const { cid } = await resolve(path, call)
      if (!isRecursive && (await node.pins.kind(cid)) === 'recursive')
        throw refused(`${cidText(cid)} is pinned recursively`)
      await node.pins.rm(cid, { signal })
      pins.push(cidText(cid))
    }
    await answer.once({ Pins: pins })
  },
}

export const pinUpdate: Command = {
  args: [
    { name: 'from-path', required: true, fromBody: true },
    { name: 'to-path', required: true },
  ],
  options: { ...FAST_PROVIDE, unpin: { kind: 'bool' } },
  async run(call) {
    const { node, args, options, answer, signal, cidText } = call
    const [from, to] = await Promise.all([resolve(args[0] as string, call), resolve(args[1] as string, call)])
    if ((await node.pins.kind(from.cid)) !== 'recursive') {
      throw refused("'from' cid was not recursively pinned already")
    }
    await node.pins.update(from.cid, to.cid, { signal, unpin: options.flag('unpin') ?? true })
    await answer.once({ Pins: [cidText(from.cid), cidText(to.cid)] })
  },
}

interface Listed {
  readonly cid: CID
  readonly type: string
  readonly name: string
}

const TYPES = ['direct', 'indirect', 'recursive', 'all']

export const pinLs: Command = {
  args: [{ name: 'ipfs-path', many: true }],
  options: {
    type: { kind: 'string', short: 't' },
    quiet: { kind: 'bool', short: 'q' },
    name: { kind: 'string', short: 'n' },
    stream: { kind: 'bool', short: 's' },
    names: { kind: 'bool' },
  },
  async run(call) {
    const { args, options, answer, cidText } = call
    const type = options.text('type') || 'all'
    if (!TYPES.includes(type)) {
      throw refused(`invalid type '${type.slice(0, 50)}', must be one of {direct, indirect, recursive, all}`)
    }
    const wanted = pinName(call)
    const isNamed = (options.flag('names') ?? false) || wanted !== ''
    const found = args.length > 0 ? pinsOf(type, call) : allPins(type, call)
    const isStream = options.flag('stream') ?? false
    if (isStream && args.length === 0) answer.lines()
    const keys: [string, { readonly Type: string; readonly Name: string }][] = []
    for await (const { cid, type: each, name } of found) {
      if (!name.includes(wanted)) continue
      const shown = isNamed ? name : ''
      if (isStream) {
        await answer.line({ Cid: cidText(cid), Type: each, ...(shown === '' ? {} : { Name: shown }) })
        continue
      }
      if (keys.length >= MAX_LISTED_AT_ONCE)
        throw refused(`more than ${MAX_LISTED_AT_ONCE} pins: list them with stream=true`)
      keys.push([cidText(cid), { Type: each, Name: shown }])
    }
    if (!isStream) await answer.once(keys.length === 0 ? {} : { Keys: Object.fromEntries(keys) })
  },
}

/** What is asked for by its path; all of it must be pinned. */
async function* pinsOf(type: string, call: Call): AsyncGenerator<Listed> {
  const { node, args, signal, cidText } = call
  const cids: CID[] = []
  for (const path of args) cids.push((await resolve(path, call)).cid)
  const names = new Map<string, Listed>()
  const keys = new Set(cids.map(cid => cid.toString()))
  for await (const { cid, kind, name = '' } of node.pins.ls({ signal })) {
    const key = cid.toString()
    if (keys.has(key) && (type === 'all' || type === kind)) names.set(key, { cid, type: kind, name })
  }
  const isIndirectWanted = type === 'all' || type === 'indirect'
  const rest = isIndirectWanted ? cids.filter(cid => !names.has(cid.toString())) : []
  const reason = rest.length === 0 ? () => undefined : await reasonsOf(rest, { node, signal, cidText })
  for (const [i, cid] of cids.entries()) {
    const via = /^pinned via (.*)$/.exec(reason(cid) ?? '')?.[1]
    const listed = names.get(cid.toString()) ?? (via && { cid, type: `indirect through ${via}`, name: '' })
    if (!listed) throw refused(`path '${args[i]}' is not pinned`)
    yield listed
  }
}

async function* allPins(type: string, { node, signal }: Call): AsyncGenerator<Listed> {
  const own = new Set<string>()
  for (const kind of ['recursive', 'direct'] as const) {
    for await (const { cid, kind: each, name = '' } of node.pins.ls({ signal })) {
      if (each !== kind) continue
      if (type === 'all' || type === 'indirect') own.add(cid.toString())
      if (type === 'all' || type === kind) yield { cid, type: kind, name }
    }
  }
  if (type !== 'all' && type !== 'indirect') return
  const seen = new FingerprintSet()
  for await (const { cid: root, kind } of node.pins.ls({ signal })) {
    if (kind !== 'recursive') continue
    // A pin's blocks at a time are held, so that the walk need not wait for the client.
    let found: CID[] = []
    await walkHere(root, seen, { node, signal }, cid => {
      if (!own.has(cid.toString())) found.push(cid)
    })
    for (const cid of found) yield { cid, type: 'indirect', name: '' }
    found = []
  }
}

export const pinVerify: Command = {
  options: { verbose: { kind: 'bool' }, quiet: { kind: 'bool', short: 'q' } },
  async run(call) {
    const { node, options, answer, signal, cidText } = call
    const isVerbose = options.flag('verbose') ?? false
    const isQuiet = options.flag('quiet') ?? false
    if (isVerbose && isQuiet)
      throw refused('the --verbose and --quiet options can not be used at the same time')
    answer.lines()
    for await (const { cid, kind } of node.pins.ls({ signal })) {
      if (kind !== 'recursive') continue
      const bad = await badNodes(cid, call)
      if (bad.length === 0) {
        if (isVerbose) await answer.line({ Cid: cidText(cid), Ok: true })
      } else await answer.line({ Cid: cidText(cid), ...(isQuiet ? {} : { BadNodes: bad }) })
    }
  },
}

/** Blocks of a pin that are missing or damaged, up to a number. */
async function badNodes(root: CID, { node, signal, cidText }: Call): Promise<{ Cid: string; Err: string }[]> {
  using here = node.details.session({ signal, fetch: false })
  const bad: { Cid: string; Err: string }[] = []
  await walkDag(
    root,
    async (cid, _turn, stop) => {
      if (bad.length >= MAX_BAD_NODES) return []
      try {
        if (isKnownLeaf(cid, { leaf: false }) && (await node.details.blocks.size(cid)) !== undefined)
          return []
        return linksOf(cid, await here.get(cid, { signal: stop }))
      } catch (error) {
        stop.throwIfAborted()
        if (!isFailure(error, 'IPFS_BLOCK_MISSING', 'IPFS_BLOCK_CORRUPT', 'IPFS_UNKNOWN_CODEC')) throw error
        bad.push({ Cid: cidText(cid), Err: messageOf(error) })
        return []
      }
    },
    { concurrency: VERIFY_CONCURRENCY, signal },
  )
  return bad
}
