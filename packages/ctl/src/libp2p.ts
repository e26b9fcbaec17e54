/** Endpoints over libp2p. What they need takes longer to load than most commands take to run: it is loaded when such a host is dialled. */
import type { NodeTransportConfig } from '@ipfs-cluster/api/node'
import { LocalFailure } from './failure.ts'

export type Connect = NonNullable<NodeTransportConfig['connect']>

export interface Libp2pDialers extends AsyncDisposable {
  /** @param secret 32 bytes of a private network, or none. */
  connectWith(secret: Uint8Array | undefined): Connect
}

export function createLibp2pDialers(): Libp2pDialers {
  const stack = new AsyncDisposableStack()
  const start = async (secret: Uint8Array | undefined) => {
    const { createHttpDialer } = await import('@ipfs-cluster/peer/libp2p-http')
    return stack.use(await createHttpDialer(secret === undefined ? {} : { secret }))
  }
  return {
    connectWith(secret) {
      let dialer: ReturnType<typeof start> | undefined
      return async (address, options) => await (await (dialer ??= start(secret))).connect(address, options)
    },
    [Symbol.asyncDispose]: async () => await stack.disposeAsync(),
  }
}

const SECRET_BYTES = 32

/** @throws LocalFailure for a host that cannot be dialled whatever happens, or a secret that is none. */
export function checkLibp2pHost(
  address: string,
  components: readonly { readonly name: string }[],
  secret: Uint8Array | undefined,
): void {
  const doing = 'creating API client'
  if (components[0]?.name === 'p2p') {
    throw new LocalFailure(doing, `${address} only includes a peer ID: put the peer's address in front of it`)
  }
  if (secret !== undefined && secret.length !== SECRET_BYTES) {
    throw new LocalFailure(doing, `--secret has ${secret.length} bytes instead of ${SECRET_BYTES}`)
  }
}
