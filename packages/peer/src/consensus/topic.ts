import { createHash } from 'node:crypto'
import { concatBytes, utf8 } from '@ipfs-cluster/base'
import { base58btc } from 'multiformats/bases/base58'

/** Multihash code (varint) and length of MD5. */
const MD5_PREFIX = Uint8Array.of(0xd5, 0x01, 0x10)

/** The pubsub topic of a cluster: base58btc of the MD5 multihash of its name (reference wire.md 0). */
export function topicOf(clusterName: string): string {
  const digest = createHash('md5').update(utf8(clusterName)).digest()
  return base58btc.encoder.baseEncode(concatBytes([MD5_PREFIX, digest]))
}
