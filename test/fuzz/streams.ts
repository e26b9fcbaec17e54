/** Two ends of a stream in memory, with libp2p's own states, buffers and events: bytes and closing arrive in order, a microtask later. */
import type { Logger as Libp2pLogger } from '@libp2p/interface'
import { AbstractStream, type AbstractStreamInit, type SendResult } from '@libp2p/utils'
import type { Uint8ArrayList } from 'uint8arraylist'

const silent: Libp2pLogger = Object.assign(() => undefined, {
  error: () => undefined,
  trace: () => undefined,
  enabled: false,
  newScope: () => silent,
})

export class MemoryStream extends AbstractStream {
  #peer: MemoryStream | undefined

  constructor(init: Partial<AbstractStreamInit> & { readonly id: string }) {
    super({ log: silent, direction: 'inbound', protocol: '', ...init })
  }

  static pair(protocol = ''): readonly [near: MemoryStream, far: MemoryStream] {
    const near = new MemoryStream({ id: 'near', direction: 'outbound', protocol })
    const far = new MemoryStream({ id: 'far', direction: 'inbound', protocol })
    near.#peer = far
    far.#peer = near
    return [near, far]
  }

  #tell(what: (peer: MemoryStream) => void): void {
    const peer = this.#peer
    if (peer !== undefined) queueMicrotask(() => what(peer))
  }

  override sendData(data: Uint8ArrayList): SendResult {
    const copy = data.slice()
    this.#tell(peer => peer.onData(copy))
    return { sentBytes: copy.length, canSendMore: true }
  }

  override sendReset(): void {
    this.#tell(peer => {
      if (peer.status === 'open' || peer.status === 'closing') peer.onRemoteReset()
    })
  }

  override async sendCloseWrite(): Promise<void> {
    this.#tell(peer => peer.onRemoteCloseWrite())
  }

  override async sendCloseRead(): Promise<void> {
    this.#tell(peer => peer.onRemoteCloseRead())
  }

  override sendPause(): void {}

  override sendResume(): void {}
}
