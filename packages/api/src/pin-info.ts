import type { GlobalPinInfo, PinInfo } from './types.ts'

/** The status on one peer as a status of all peers with a single entry. */
export function pinInfoToGlobal(info: PinInfo): GlobalPinInfo {
  const { cid, name, peer, allocations, origins, created, metadata, ...short } = info
  return { cid, name, allocations, origins, created, metadata, peerMap: { [peer]: short } }
}
