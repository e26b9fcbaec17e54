import { cidText, type Pin } from '@ipfs-cluster/api'
import { noopTracer, type SpanAttributes, type Tracer } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import type { Cluster } from '../cluster/index.ts'
import type { Consensus } from '../consensus/index.ts'
import { withMethods } from './with-methods.ts'
import { createWrappers } from './wrappers.ts'

const ofCid = ([cid]: readonly [CID, ...unknown[]]): SpanAttributes => ({ cid: cidText(cid) })
const ofPin = ([{ cid }]: readonly [Pin, ...unknown[]]): SpanAttributes => ofCid([cid])

/** A span for each use case, named as in Go. */
export function tracedCluster(cluster: Cluster, tracer: Tracer): Cluster {
  if (tracer === noopTracer) return cluster
  const { one, many } = createWrappers(tracer, { alone: true })
  return withMethods(cluster, {
    id: one('cluster/ID', options => cluster.id(options)),
    peers: many('cluster/Peers', options => cluster.peers(options)),
    peerAdd: one(
      'cluster/PeerAdd',
      (peer, options) => cluster.peerAdd(peer, options),
      ([peer]) => ({ peer }),
    ),
    pin: one('cluster/Pin', (cid, pin, options) => cluster.pin(cid, pin, options), ofCid),
    pinObject: one('cluster/Pin', (pin, options) => cluster.pinObject(pin, options), ofPin),
    pinPath: one(
      'cluster/PinPath',
      (path, pin, options) => cluster.pinPath(path, pin, options),
      ([path]) => ({ path }),
    ),
    pinMany: many('cluster/PinMany', (groups, options) => cluster.pinMany(groups, options)),
    unpinMany: many('cluster/UnpinMany', (groups, options) => cluster.unpinMany(groups, options)),
    replace: one('cluster/PinReplace', (from, to, options) => cluster.replace(from, to, options), ofCid),
    unpin: one('cluster/Unpin', (cid, options) => cluster.unpin(cid, options), ofCid),
    unpinPath: one(
      'cluster/UnpinPath',
      (path, options) => cluster.unpinPath(path, options),
      ([path]) => ({ path }),
    ),
    pins: many('cluster/Pins', (types, options) => cluster.pins(types, options)),
    pinLines: many('cluster/Pins', (types, options) => cluster.pinLines(types, options)),
    pinGet: one('cluster/PinGet', (cid, options) => cluster.pinGet(cid, options), ofCid),
    status: one('cluster/Status', (cid, options) => cluster.status(cid, options), ofCid),
    statusLocal: one('cluster/StatusLocal', (cid, options) => cluster.statusLocal(cid, options), ofCid),
    statusAll: many('cluster/StatusAll', (filter, options) => cluster.statusAll(filter, options)),
    statusOf: many('cluster/StatusOf', (pins, options) => cluster.statusOf(pins, options)),
    statusAllLocal: many('cluster/StatusAllLocal', (filter, options) =>
      cluster.statusAllLocal(filter, options),
    ),
    recover: one('cluster/Recover', (cid, options) => cluster.recover(cid, options), ofCid),
    recoverLocal: one('cluster/RecoverLocal', (cid, options) => cluster.recoverLocal(cid, options), ofCid),
    recoverAll: many('cluster/RecoverAll', options => cluster.recoverAll(options)),
    recoverAllLocal: many('cluster/RecoverAllLocal', options => cluster.recoverAllLocal(options)),
    add: many('cluster/Add', (parts, params, options) => cluster.add(parts, params, options)),
    exportCar: one('cluster/ExportCar', (cid, options) => cluster.exportCar(cid, options), ofCid),
    blockAllocate: one('cluster/BlockAllocate', (pin, options) => cluster.blockAllocate(pin, options)),
    repoGC: one('cluster/RepoGC', options => cluster.repoGC(options)),
    repoGCLocal: one('cluster/RepoGCLocal', options => cluster.repoGCLocal(options)),
    connectGraph: one('cluster/ConnectGraph', options => cluster.connectGraph(options)),
  } satisfies Partial<Cluster>)
}

/**
 * A span for each write of the pinset. Writes that arrive while one is under way share the next node: `writes_under_way` says how many were
 * there before this one.
 */
export function tracedConsensus(consensus: Consensus, tracer: Tracer): Consensus {
  if (tracer === noopTracer) return consensus
  const { one } = createWrappers(tracer, { alone: false })
  let underWay = 0
  const counted = async (write: Promise<void>) => {
    underWay++
    try {
      await write
    } finally {
      underWay--
    }
  }
  const describe = (cid: CID) => ({ ...ofCid([cid]), writes_under_way: underWay })
  return withMethods(consensus, {
    logPin: one(
      'consensus/LogPin',
      (pin, options) => counted(consensus.logPin(pin, options)),
      ([pin]) => describe(pin.cid),
    ),
    logPins: one(
      'consensus/LogPins',
      (pins, options) => counted(consensus.logPins(pins, options)),
      ([pins]) => ({ pins: pins.length, writes_under_way: underWay }),
    ),
    logUnpins: one(
      'consensus/LogUnpins',
      (cids, options) => counted(consensus.logUnpins(cids, options)),
      ([cids]) => ({ pins: cids.length, writes_under_way: underWay }),
    ),
    logUnpin: one(
      'consensus/LogUnpin',
      (cid, options) => counted(consensus.logUnpin(cid, options)),
      ([cid]) => describe(cid),
    ),
  } satisfies Partial<Consensus>)
}
