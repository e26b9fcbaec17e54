import { CID } from 'multiformats/cid'

/** Characters of the longest CID, whose digest is its block; and of one in base58 or base36, which take the square of it to read. */
const MAX_TEXT = 4096
const MAX_SLOW_TEXT = 128
const SLOW_BASES = /^[QzZkK1]/

const V0_BYTES = 34
const SHA2_256 = 0x12

/** Reads the text of a CID that anybody may have written. @throws Error of the library, or RangeError */
export function parseCid(text: string): CID {
  const longest = SLOW_BASES.test(text) ? MAX_SLOW_TEXT : MAX_TEXT
  if (text.length > longest) throw new RangeError(`a CID of more than ${longest} characters`)
  return checkedCid(CID.parse(text))
}

/**
 * The library takes a digest of any length for a CIDv0. Such a link leads nowhere, and writing it, in base58, takes the square of
 * its length.
 *
 * @throws RangeError
 */
export function checkedCid(cid: CID): CID {
  if (cid.version === 0 && (cid.bytes.length !== V0_BYTES || cid.multihash.code !== SHA2_256)) {
    throw new RangeError(`a CIDv0 of ${cid.bytes.length} bytes`)
  }
  return cid
}
