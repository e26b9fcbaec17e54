import type { Target } from '../target.ts'
import { apiTargets } from './api.ts'
import { bitswapTargets } from './bitswap.ts'
import { crdtTargets } from './crdt.ts'
import { ipfsTargets } from './ipfs.ts'
import { kuboRpcTargets } from './kubo-rpc.ts'
import { muxTargets } from './mux.ts'
import { peerTargets } from './peer.ts'
import { rpcTargets } from './rpc.ts'
import { sessionTargets } from './sessions.ts'
import { streamTargets } from './streams.ts'
import { uploadTargets } from './uploads.ts'

/** Everything that reads what others wrote. */
export const TARGETS: readonly Target[] = [
  ...rpcTargets,
  ...crdtTargets,
  ...bitswapTargets,
  ...apiTargets,
  ...peerTargets,
  ...uploadTargets,
  ...streamTargets,
  ...ipfsTargets,
  ...kuboRpcTargets,
  ...sessionTargets,
  ...muxTargets,
]
