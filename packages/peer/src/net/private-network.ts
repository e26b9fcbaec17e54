import type { ConnectionProtector, MultiaddrConnection } from '@libp2p/interface'
import { AbstractMultiaddrConnection, byteStream } from '@libp2p/utils'
import type { Uint8ArrayList } from 'uint8arraylist'
import type { Logger } from '@ipfs-cluster/base'
import { markHandshake } from './dial-error.ts'
import { NetworkError } from './errors.ts'
import { createXsalsa20, KEY_BYTES, NONCE_BYTES, type StreamCipher } from './xsalsa20.ts'

/**
 * Lets in only who has the secret, as go-libp2p's private networks do: each side sends a nonce, and from there on everything is encrypted
 * with the secret as it stands.
 *
 * Not by `@libp2p/pnet` 3.0.27, whose ciphers share a memory that breaks when it grows (libp2p/js-libp2p#3585) and cost more than
 * everything else that happens to a byte (decision 0019).
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
  if (secret.length !== KEY_BYTES) {
    throw new NetworkError(
      `the cluster secret has ${secret.length} bytes instead of ${KEY_BYTES}; set cluster.secret to 64 hexadecimal digits`,
      { code: 'NET_BAD_SECRET', length: secret.length },
    )
  }
  return () =>
    markHandshake({
      // libp2p protects what a transport gives it.
      protect: (connection, options) => encrypted(connection as MultiaddrConnection, secret, options),
    })
}

async function encrypted(
  connection: MultiaddrConnection,
  secret: Uint8Array,
  options: Parameters<ConnectionProtector['protect']>[1],
): Promise<MultiaddrConnection> {
  const localNonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES))
  const bytes = byteStream(connection)
  const [remoteNonce] = await Promise.all([
    bytes.read({ ...options, bytes: NONCE_BYTES }),
    bytes.write(localNonce, options),
  ])
  // Gives back what has come behind the nonce.
  bytes.unwrap()
  return new EncryptedConnection(
    connection,
    createXsalsa20(secret, remoteNonce.subarray()),
    createXsalsa20(secret, localNonce),
  )
}

class EncryptedConnection extends AbstractMultiaddrConnection {
  readonly #connection: MultiaddrConnection
  readonly #outbound: StreamCipher

  constructor(connection: MultiaddrConnection, inbound: StreamCipher, outbound: StreamCipher) {
    const { remoteAddr, direction } = connection
    super({ remoteAddr, direction, log: connection.log.newScope('private-network') })
    this.#connection = connection
    this.#outbound = outbound
    connection.addEventListener('message', ({ data }) => {
      // In its place: what has arrived is ours alone.
      for (const part of pieces(data)) this.onData(inbound.update(part, part))
    })
    connection.addEventListener('drain', () => this.safeDispatchEvent('drain'))
    connection.addEventListener('close', ({ error, local }) => {
      if (error === undefined) this.onTransportClosed()
      else if (local === true) this.abort(error)
      else this.onRemoteReset()
    })
  }

  override sendData(data: Uint8ArrayList): { readonly sentBytes: number; readonly canSendMore: boolean } {
    const sentBytes = data.byteLength
    const sent = Buffer.allocUnsafe(sentBytes)
    let at = 0
    for (const piece of data) {
      this.#outbound.update(piece, sent.subarray(at, at + piece.length))
      at += piece.length
    }
    return { sentBytes, canSendMore: this.#connection.send(sent) }
  }

  override async sendClose(options?: Parameters<MultiaddrConnection['close']>[0]): Promise<void> {
    await this.#connection.close(options)
  }

  override sendReset(error: Error): void {
    this.#connection.abort(error)
  }

  override sendPause(): void {
    this.#connection.pause()
  }

  override sendResume(): void {
    this.#connection.resume()
  }
}

function pieces(data: Uint8Array | Uint8ArrayList): Iterable<Uint8Array> {
  return data instanceof Uint8Array ? [data] : data
}
