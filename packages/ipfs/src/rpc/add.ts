/** `add`: to this node alone, with the options that the importer of the node has. */
import type { CID } from 'multiformats/cid'
import type { AddEntry } from '../types.ts'
import type { Call, Command } from './command.ts'
import { refused } from './errors.ts'
import { PROGRESS_MS } from './limits.ts'
import type { UploadPart } from './types.ts'

/** Kubo's options that change what is stored and are not there; given otherwise than here, the request is refused. */
const FIXED: Readonly<Record<string, readonly string[]>> = {
  trickle: ['false'],
  'only-hash': ['false'],
  nocopy: ['false'],
  inline: ['false'],
  hash: ['sha2-256', ''],
}
const BOOLS = ['trickle', 'only-hash', 'nocopy', 'inline']

export const add: Command = {
  file: 'path',
  options: {
    quiet: { kind: 'bool', short: 'q' },
    quieter: { kind: 'bool', short: 'Q' },
    silent: { kind: 'bool' },
    progress: { kind: 'bool', short: 'p' },
    trickle: { kind: 'bool', short: 't' },
    'only-hash': { kind: 'bool', short: 'n' },
    'wrap-with-directory': { kind: 'bool', short: 'w' },
    chunker: { kind: 'string', short: 's' },
    'raw-leaves': { kind: 'bool' },
    nocopy: { kind: 'bool' },
    'cid-version': { kind: 'int' },
    hash: { kind: 'string' },
    inline: { kind: 'bool' },
    pin: { kind: 'bool' },
    'pin-name': { kind: 'string' },
  },
  async run(call) {
    const { node, options, answer, signal, cidText } = call
    checkFixed(call)
    const cidVersion = options.number('cid-version') ?? 0
    if (cidVersion !== 0 && cidVersion !== 1) throw refused(`unknown CID version: ${cidVersion}`)
    const rawLeaves = options.flag('raw-leaves')
    const chunker = options.text('chunker')
    const wrap = options.flag('wrap-with-directory') ?? false
    const isSilent = options.flag('silent') ?? false
    // Until the pin is there, nothing else keeps the blocks.
    using _held = node.hold()
    // Of every tree that was uploaded; with a wrap, the one directory around them.
    const roots = new Map<string, CID>()
    const added = node.unixfs.add(entries(call), {
      signal,
      wrap,
      cidVersion,
      ...(rawLeaves === undefined ? {} : { rawLeaves }),
      ...(chunker === undefined ? {} : { chunker }),
    })
    for await (const { path, cid, size } of added) {
      const name = path === '' && !wrap ? cidText(cid) : path
      if (!path.includes('/') && (!wrap || path === '')) roots.set(path, cid)
      if (!isSilent) await answer.line({ Name: name, Hash: cidText(cid), Size: String(size) })
    }
    if (options.flag('pin') === false) return
    const name = options.text('pin-name') ?? ''
    for (const cid of roots.values()) await node.pins.add(cid, { signal, name })
  },
}

function checkFixed({ options }: Call): void {
  for (const [name, values] of Object.entries(FIXED)) {
    const given = BOOLS.includes(name) ? options.flag(name)?.toString() : options.text(name)
    if (given === undefined || values.includes(given)) continue
    throw refused(
      `${name}=${given.slice(0, 50)} is not supported by the built-in IPFS node itself; add through the cluster, which knows all of Kubo's options`,
    )
  }
}

async function* entries({ uploads, options, answer, clock }: Call): AsyncGenerator<AddEntry> {
  const isTold = options.flag('progress') ?? false
  for await (const part of uploads()) {
    const { path, kind, content } = part
    if (kind === 'symlink') {
      throw refused(
        `${path.slice(0, 200)} is a symlink: the built-in IPFS node itself adds none; add through the cluster`,
      )
    }
    if (kind === 'directory') yield { path }
    else yield { path, content: isTold ? toldOf(part) : content }
  }

  async function* toldOf({ path, content }: UploadPart): AsyncGenerator<Uint8Array> {
    let bytes = 0
    let lastTold = Number.NEGATIVE_INFINITY
    for await (const chunk of content) {
      yield chunk
      bytes += chunk.length
      if (clock.monotonic() - lastTold < PROGRESS_MS) continue
      lastTold = clock.monotonic()
      await answer.line({ Name: path, Bytes: bytes })
    }
    await answer.line({ Name: path, Bytes: bytes })
  }
}
