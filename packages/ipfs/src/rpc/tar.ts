/** TAR archives (POSIX.1-2001 `pax`), as a stream. */
import { concatBytes, utf8 } from '@ipfs-cluster/base'
import { refused } from './errors.ts'

const BLOCK_BYTES = 512
/** What the fields of a header hold; beyond it, a `pax` record says it. */
const MAX_NAME_BYTES = 100
const MAX_PLAIN_SIZE = 8 ** 11 - 1
const MODE = { file: 0o644, directory: 0o755, symlink: 0o777 } as const
const TYPE = { file: '0', directory: '5', symlink: '2', pax: 'x' } as const

export interface TarEntry {
  readonly kind: 'file' | 'directory' | 'symlink'
  /** Slash-separated, relative. */
  readonly path: string
  /** Of a file: bytes of its content. */
  readonly size: number
  /** Of a symlink. */
  readonly target: string
}

/** The header of an entry; the content follows, then `tarPadding`. @param mtime seconds since the epoch */
export function tarHeader({ kind, path, size, target }: TarEntry, mtime: number): Uint8Array {
  const name = utf8(path)
  const link = utf8(target)
  const records: [string, string][] = []
  if (name.length > MAX_NAME_BYTES || !isPlain(name)) records.push(['path', path])
  if (kind === 'symlink' && (link.length > MAX_NAME_BYTES || !isPlain(link)))
    records.push(['linkpath', target])
  if (size > MAX_PLAIN_SIZE) records.push(['size', String(size)])
  const fields = {
    name: name.subarray(0, MAX_NAME_BYTES),
    link: link.subarray(0, MAX_NAME_BYTES),
    mode: MODE[kind],
    type: TYPE[kind],
    size: kind === 'file' && size <= MAX_PLAIN_SIZE ? size : 0,
    mtime,
  }
  if (records.length === 0) return headerBlock(fields)
  const body = concatBytes(records.map(([key, value]) => paxRecord(key, value)))
  const pax = {
    ...fields,
    name: utf8('PaxHeaders.0/entry'),
    link: utf8(''),
    mode: 0,
    type: TYPE.pax,
    size: body.length,
  }
  return concatBytes([headerBlock(pax), body, tarPadding(body.length), headerBlock(fields)])
}

/** Fills up the last block of a content. */
export function tarPadding(size: number): Uint8Array {
  return new Uint8Array((BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES)
}

export const TAR_END: Uint8Array = new Uint8Array(2 * BLOCK_BYTES)

interface Fields {
  readonly name: Uint8Array
  readonly link: Uint8Array
  readonly mode: number
  readonly type: string
  readonly size: number
  readonly mtime: number
}

function headerBlock({ name, link, mode, type, size, mtime }: Fields): Uint8Array {
  const block = new Uint8Array(BLOCK_BYTES)
  const octal = (value: number, at: number, width: number) =>
    block.set(utf8(`${value.toString(8).padStart(width - 1, '0')}\0`), at)
  block.set(name, 0)
  octal(mode, 100, 8)
  octal(0, 108, 8)
  octal(0, 116, 8)
  octal(size, 124, 12)
  octal(Math.max(0, Math.floor(mtime)), 136, 12)
  // The checksum counts its own field as spaces.
  block.fill(0x20, 148, 156)
  block.set(utf8(type), 156)
  block.set(link, 157)
  block.set(utf8('ustar\x0000'), 257)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.set(utf8(`${sum.toString(8).padStart(6, '0')}\0 `), 148)
  return block
}

/** `<length> <key>=<value>\n`, where the length counts its own digits. */
function paxRecord(key: string, value: string): Uint8Array {
  if (value.includes('\0')) throw refused('a name with a zero byte cannot be put into an archive')
  const rest = utf8(` ${key}=${value}\n`)
  let length = rest.length
  while (length !== rest.length + String(length).length) length = rest.length + String(length).length
  return concatBytes([utf8(String(length)), rest])
}

function isPlain(bytes: Uint8Array): boolean {
  return bytes.every(byte => byte >= 0x20 && byte < 0x7f)
}
