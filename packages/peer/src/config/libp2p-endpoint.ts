import { parsePeerId } from '@ipfs-cluster/api'
import { errorCode } from '@ipfs-cluster/base'
import { IdentityError, parseIdentity, type Identity } from '../identity/index.ts'
import type { HttpHostConfig } from '../net/index.ts'
import { invalid } from './errors.ts'

/** Keys of an API section that make up its endpoint over libp2p; the section sees to it that all are set, or none. */
export interface Libp2pEndpointKeys {
  readonly libp2p_listen_multiaddress: readonly string[]
  readonly id: string
  readonly private_key: string
}

/**
 * The endpoint of an API over libp2p (Go: `loadLibp2pOptions` of `api/common`); `undefined` when there shall be none.
 *
 * @param section the name of the section, for messages.
 * @throws ConfigError `CONFIG_INVALID` naming the key.
 */
export function libp2pEndpoint(section: string, keys: Libp2pEndpointKeys): HttpHostConfig | undefined {
  const listen = keys.libp2p_listen_multiaddress
  if (listen.length === 0) return undefined
  return { identity: identityOf(section, keys), listen, configKey: `${section}.libp2p_listen_multiaddress` }
}

function identityOf(section: string, { id, private_key }: Libp2pEndpointKeys): Identity {
  try {
    parsePeerId(id)
  } catch {
    throw invalid(`${section}.id`, `${JSON.stringify(id)} is not a peer id`)
  }
  try {
    return parseIdentity(JSON.stringify({ id, private_key }))
  } catch (error) {
    if (error instanceof IdentityError && error.data.code === 'IDENTITY_MISMATCH') {
      throw invalid(
        `${section}.id`,
        `${id} does not match ${section}.private_key, whose id is ${error.data.keyId}`,
      )
    }
    // The cause stays behind: nothing of a private key shall come near a log.
    if (errorCode(error) === 'IDENTITY_INVALID') {
      throw invalid(`${section}.private_key`, 'it is not the base64 text of a libp2p private key')
    }
    throw error
  }
}
