import { generateKeyPairFromSeed, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { utf8, type Random, type Store } from '@ipfs-cluster/base'

const IDENTITY_KEY = utf8('midentity')
const SEED_BYTES = 32

/** The node's key (Ed25519), made at the first start and kept in the repository. */
export async function loadIdentity(store: Store, random: Random): Promise<PrivateKey> {
  const row = await store.get(IDENTITY_KEY)
  if (row !== undefined) return privateKeyFromProtobuf(row)
  const key = await generateKeyPairFromSeed('Ed25519', random.bytes(SEED_BYTES))
  await store.batch([{ type: 'put', key: IDENTITY_KEY, value: privateKeyToProtobuf(key) }], { sync: true })
  return key
}
