/** What the cases of `add-corpus.ts` are made of. */
import { utf8 } from '@ipfs-cluster/base'

export interface Entry {
  readonly path: string
  readonly kind: 'file' | 'directory' | 'symlink'
  /** Of a symlink: its target. */
  readonly data: Uint8Array
  /** Added to the name of the form field, as clients send the mode and time of a file. */
  readonly fieldSuffix?: string
}

/** Absent: as the command line leaves it. */
export interface Flags {
  readonly trickle?: boolean
  readonly chunker?: string
  readonly hash?: string
  readonly cidVersion?: 0 | 1
  readonly rawLeaves?: boolean
  readonly wrap?: boolean
  /** Query parameters for the cluster alone. */
  readonly ours?: Readonly<Record<string, string>>
}

export interface AddCase {
  readonly id: string
  readonly entries: () => readonly Entry[]
  readonly flags: Flags
  /** Can lie on a disk and be added by both command lines. */
  readonly onDisk?: boolean
  /** Arguments of both command lines instead of all top-level entries. */
  readonly args?: readonly string[]
  /** Too large to be recorded and tested every time. */
  readonly isLarge?: boolean
}

type Kind = 'random' | 'zeros' | 'text'

export function bytesOf(kind: Kind, length: number): Uint8Array {
  const out = new Uint8Array(length)
  if (kind === 'random') fillRandom(out)
  if (kind === 'text') {
    const line = utf8('The quick brown fox jumps over the lazy dog. ')
    for (let at = 0; at < length; at += line.length) out.set(line.subarray(0, length - at), at)
  }
  return out
}

/** The generator xorshift32. */
function fillRandom(out: Uint8Array): void {
  let state = 0x9e3779b9
  for (let i = 0; i < out.length; i++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    out[i] = state >>> 11
  }
}

export function file(path: string, data: Uint8Array | string): Entry {
  return { path, kind: 'file', data: typeof data === 'string' ? utf8(data) : data }
}

export function directory(path: string): Entry {
  return { path, kind: 'directory', data: new Uint8Array(0) }
}

export function symlink(path: string, target: string): Entry {
  return { path, kind: 'symlink', data: utf8(target) }
}

/** Parameters of Kubo's `/api/v0/add`. */
export function kuboQuery({ trickle, chunker, hash, cidVersion, rawLeaves, wrap }: Flags): URLSearchParams {
  return queryOf({
    'only-hash': 'true',
    progress: 'false',
    pin: 'false',
    trickle,
    chunker,
    hash,
    'cid-version': cidVersion,
    'raw-leaves': rawLeaves,
    'wrap-with-directory': wrap,
  })
}

/** Parameters of the cluster's `/add`. */
export function clusterQuery(flags: Flags): URLSearchParams {
  const { trickle, chunker, hash, cidVersion, rawLeaves, wrap, ours } = flags
  return queryOf({
    layout: trickle === undefined ? undefined : trickle ? 'trickle' : 'balanced',
    chunker,
    hash,
    'cid-version': cidVersion,
    'raw-leaves': rawLeaves,
    'wrap-with-directory': wrap,
    ...ours,
  })
}

function queryOf(values: Readonly<Record<string, string | number | boolean | undefined>>): URLSearchParams {
  const out = new URLSearchParams()
  for (const [name, value] of Object.entries(values)) if (value !== undefined) out.set(name, String(value))
  return out
}

/** Flags of `ipfs add` and of `ipfs-cluster-ctl add`. */
export function cliFlags(
  program: 'ipfs' | 'ctl',
  { trickle, chunker, hash, cidVersion, rawLeaves, wrap }: Flags,
): string[] {
  return [
    ...(trickle === true ? [program === 'ipfs' ? '--trickle' : '--layout=trickle'] : []),
    ...(chunker === undefined ? [] : [`--chunker=${chunker}`]),
    ...(hash === undefined ? [] : [`--hash=${hash}`]),
    ...(cidVersion === undefined ? [] : [`--cid-version=${cidVersion}`]),
    ...(rawLeaves === true ? ['--raw-leaves'] : []),
    ...(wrap === true ? ['--wrap-with-directory'] : []),
  ]
}
