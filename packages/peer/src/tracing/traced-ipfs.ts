import { cidText, type Pin } from '@ipfs-cluster/api'
import { noopTracer, type SpanAttributes, type Tracer } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import type { IpfsConnector } from '../ipfsconn/index.ts'
import { withMethods } from './with-methods.ts'
import { createWrappers } from './wrappers.ts'

const ofCid = ([cid]: readonly [CID, ...unknown[]]): SpanAttributes => ({ cid: cidText(cid) })
const ofPin = ([{ cid, mode }]: readonly [Pin, ...unknown[]]): SpanAttributes => ({ ...ofCid([cid]), mode })

/** A span for each call of the IPFS daemon on somebody's behalf; named as in Go, whichever daemon it is. */
export function tracedConnector(ipfs: IpfsConnector, tracer: Tracer): IpfsConnector {
  if (tracer === noopTracer) return ipfs
  const { one, many } = createWrappers(tracer, { alone: false, kind: 'client' })
  return withMethods(ipfs, {
    id: one('ipfsconn/ipfshttp/ID', options => ipfs.id(options)),
    pin: one('ipfsconn/ipfshttp/Pin', (pin, options) => ipfs.pin(pin, options), ofPin),
    unpin: one('ipfsconn/ipfshttp/Unpin', (cid, options) => ipfs.unpin(cid, options), ofCid),
    pinLs: many('ipfsconn/ipfshttp/PinLs', options => ipfs.pinLs(options)),
    pinLsCid: one(
      'ipfsconn/ipfshttp/PinLsCid',
      (cid, mode, options) => ipfs.pinLsCid(cid, mode, options),
      ([cid, mode]) => ({ ...ofCid([cid]), mode }),
    ),
    repoStat: one('ipfsconn/ipfshttp/RepoStat', options => ipfs.repoStat(options)),
    repoGC: many('ipfsconn/ipfshttp/RepoGC', options => ipfs.repoGC(options)),
    resolve: one(
      'ipfsconn/ipfshttp/Resolve',
      (path, options) => ipfs.resolve(path, options),
      ([path]) => ({ path }),
    ),
    swarmPeers: one('ipfsconn/ipfshttp/SwarmPeers', options => ipfs.swarmPeers(options)),
    swarmConnect: one('ipfsconn/ipfshttp/ConnectSwarms', (addresses, options) =>
      ipfs.swarmConnect(addresses, options),
    ),
    blockStream: one('ipfsconn/ipfshttp/BlockStream', (blocks, options) => ipfs.blockStream(blocks, options)),
    blockGet: one('ipfsconn/ipfshttp/BlockGet', (cid, options) => ipfs.blockGet(cid, options), ofCid),
    dagBlocks: many('ipfsconn/ipfshttp/DagBlocks', (root, options) => ipfs.dagBlocks(root, options), ofCid),
  } satisfies Partial<IpfsConnector>)
}

/**
 * What the tracker does with the daemon: a trace for each operation, since nobody waits for it any more. The attribute `cid` tells which
 * request it goes back to.
 */
export function tracedOperations(ipfs: IpfsConnector, tracer: Tracer): IpfsConnector {
  if (tracer === noopTracer) return ipfs
  const { one } = createWrappers(tracer, { alone: true, parent: null })
  return withMethods(ipfs, {
    pin: one('tracker/stateless/pin', (pin, options) => ipfs.pin(pin, options), ofPin),
    unpin: one('tracker/stateless/unpin', (cid, options) => ipfs.unpin(cid, options), ofCid),
  } satisfies Partial<IpfsConnector>)
}
