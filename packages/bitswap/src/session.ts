import { BitswapError } from './errors.ts'
import type { BitswapSession, WantOptions } from './types.ts'
import { createSessionState } from './want.ts'
import type { WantManager } from './want-manager.ts'

/** A session on the wants of `manager`; ends when disposed of or when `signal` fires. */
export function openSession(
  manager: WantManager,
  { signal, providers = [] }: WantOptions = {},
): BitswapSession {
  const state = createSessionState(providers, true)
  const close = (reason: Error) => {
    signal?.removeEventListener('abort', onAbort)
    manager.closeSession(state, reason)
  }
  const onAbort = () => close(asReason(signal?.reason))
  signal?.addEventListener('abort', onAbort)
  if (signal?.aborted) onAbort()
  return {
    get: (cid, options) => manager.get(cid, state, options),
    addProviders: peers => manager.addProviders(state, peers),
    [Symbol.dispose]: () =>
      close(new BitswapError('the bitswap session has been closed', { code: 'BITSWAP_SESSION_CLOSED' })),
  }
}

function asReason(reason: unknown): Error {
  return reason instanceof Error ? reason : new DOMException(String(reason), 'AbortError')
}
