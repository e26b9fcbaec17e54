import type { ConnectionProtector, MultiaddrConnection } from '@libp2p/interface'
import { preSharedKey } from '@libp2p/pnet'
import { assert, toHex, utf8, type Logger } from '@ipfs-cluster/base'
import { markHandshake } from './dial-error.ts'
import { NetworkError } from './errors.ts'

const SECRET_BYTES = 32

/** What a cipher is given at a time. */
const CIPHER_CHUNK_BYTES = 64 * 1024

/**
 * Connections whose two ciphers, of 64 bytes each, have room in the 640 KiB that all ciphers of this process share, besides
 * a chunk. With more the memory would grow, which breaks the ciphers there are.
 */
export const MAX_PRIVATE_CONNECTIONS = 4000

/**
 * Lets in only who has the secret, as go-libp2p's private networks do.
 *
 * @throws NetworkError `NET_BAD_SECRET`
 */
export function connectionProtector(
  secret: Uint8Array | undefined,
  logger: Logger,
): (() => ConnectionProtector) | undefined {
  if (secret === undefined) {
    logger.warn('no cluster secret is set: anybody who reaches this peer can join its network')
    return undefined
  }
  if (secret.length !== SECRET_BYTES) {
    throw new NetworkError(
      `the cluster secret has ${secret.length} bytes instead of ${SECRET_BYTES}; set cluster.secret to 64 hexadecimal digits`,
      { code: 'NET_BAD_SECRET', length: secret.length },
    )
  }
  const psk = utf8(`/key/swarm/psk/1.0.0/\n/base16/\n${toHex(secret)}`)
  return () => markHandshake(sparingCiphers(preSharedKey({ psk })()))
}

/** One direction of a connection; part of the package xsalsa20. */
export interface Cipher {
  update(input: Uint8Array, output?: Uint8Array): Uint8Array
  finalize(): void
}

/** What `@libp2p/pnet` 3 makes of a connection, with parts that it keeps to itself. */
interface Box {
  inboundXor: Cipher
  outboundXor: Cipher
}

/**
 * All ciphers of a process share one WebAssembly memory of 640 KiB. Growing it, for one message that does not fit or
 * because ciphers are never given back, detaches it from all other ciphers, which then grow it again each time they are
 * used: a few hundred messages later no connection of this process works any more. `@libp2p/pnet` 3.0.27 does both
 * (libp2p/js-libp2p#3585).
 */
function sparingCiphers(protector: ConnectionProtector): ConnectionProtector {
  return {
    async protect(connection, options) {
      const box = await protector.protect(connection, options)
      spareCiphers(box as typeof box & Box)
      return box
    },
  }
}

/** Exported for its test. */
export function spareCiphers(box: Box & Pick<MultiaddrConnection, 'addEventListener'>): void {
  const ciphers = [new SparingCipher(box.inboundXor), new SparingCipher(box.outboundXor)] as const
  ;[box.inboundXor, box.outboundXor] = ciphers
  box.addEventListener('close', () => {
    for (const cipher of ciphers) cipher.finalize()
  })
}

class SparingCipher implements Cipher {
  #cipher: Cipher | undefined

  constructor(cipher: Cipher) {
    assert(typeof cipher.finalize === 'function', 'this is not the cipher of @libp2p/pnet 3')
    this.#cipher = cipher
  }

  update(input: Uint8Array, output: Uint8Array = new Uint8Array(input.length)): Uint8Array {
    // What still comes for a closed connection is for nobody.
    if (this.#cipher === undefined) return output
    for (let start = 0; start < input.length; start += CIPHER_CHUNK_BYTES) {
      const end = start + CIPHER_CHUNK_BYTES
      this.#cipher.update(input.subarray(start, end), output.subarray(start, end))
    }
    return output
  }

  finalize(): void {
    const cipher = this.#cipher
    this.#cipher = undefined
    try {
      cipher?.finalize()
    } catch {
      // The memory has grown all the same, through somebody else's connections in this process. Then nothing is to be given back.
    }
  }
}
