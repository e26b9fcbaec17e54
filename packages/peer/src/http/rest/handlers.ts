/** Each route of the table as a call of a use case. */
import type { GlobalPinInfo, PinInfo, RouteHandlers } from '@ipfs-cluster/api'
import { openApiDocument } from '@ipfs-cluster/api/openapi'
import { batchesOf, CodedError, mapBatches, mapConcurrent, type AbortOptions } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import { globalPinInfo, type Cluster } from '../../cluster/index.ts'
import type { HealthProbe } from '../../observations/index.ts'
import type { Authenticator } from '../common/index.ts'
import { pinLines, unpinLines } from './bulk.ts'

/** CIDs of one `GET /pins?cids=` asked for at once. */
const STATUS_CONCURRENCY = 16

/** @param authenticator `undefined`: there are no credentials, and no tokens. */
export function restHandlers(
  cluster: Cluster,
  authenticator: Pick<Authenticator, 'token'> | undefined,
  probe: Pick<HealthProbe, 'check'> | undefined,
): RouteHandlers {
  return {
    id: (_input, options) => cluster.id(options),
    version: () => cluster.version(),
    peers: (_input, options) => cluster.peers(options),
    peerAdd: ({ peer }, options) => cluster.peerAdd(peer, options),
    peerRemove: ({ peer }, options) => cluster.peerRemove(peer, options),
    add: ({ params, parts }, options) => cluster.add(parts, params, options),
    allocations: ({ typeBits, listing }, { signal }) => ({
      ndjson: cluster.pinLines(typeBits, { ...listing, signal }),
    }),
    allocation: ({ cid }, options) => cluster.pinGet(cid, options),
    exportCar: ({ cid }, options) => cluster.exportCar(cid, options),
    statusAll({ cids, filter, local, listing }, { signal }) {
      if (cids.length > 0) return statusOf(cluster, cids, local, { signal })
      const options = { listing, signal }
      return local ? cluster.statusAllLocal(filter, options) : cluster.statusAll(filter, options)
    },
    recover: async ({ cid, local }, options) =>
      local ? globalPinInfo([await cluster.recoverLocal(cid, options)]) : await cluster.recover(cid, options),
    recoverAll: ({ local }, options) =>
      local ? globally(cluster.recoverAllLocal(options)) : cluster.recoverAll(options),
    status: ({ cid, local }, options) =>
      local ? cluster.statusLocal(cid, options) : cluster.status(cid, options),
    pin: ({ cid, options: pinOptions }, options) => cluster.pin(cid, pinOptions, options),
    pinPath: ({ path, options: pinOptions }, options) => cluster.pinPath(path, pinOptions, options),
    pinMany: ({ lines, options: pinOptions }, options) => pinLines(cluster, lines, pinOptions, options),
    unpinMany: ({ lines }, options) => unpinLines(cluster, lines, options),
    unpin: ({ cid }, options) => cluster.unpin(cid, options),
    unpinPath: ({ path }, options) => cluster.unpinPath(path, options),
    repoGC: ({ local }, options) => (local ? cluster.repoGCLocal(options) : cluster.repoGC(options)),
    connectGraph: (_input, options) => cluster.connectGraph(options),
    alerts: () => [...cluster.alerts()],
    bandwidth: () => cluster.bandwidthByProtocol(),
    metrics: ({ name }) => [...cluster.metrics(name)],
    metricNames: () => [...cluster.metricNames()],
    token: async ({ user }) => {
      if (user === null || authenticator === undefined) {
        throw new CodedError('unauthorized', { code: 'UNAUTHORIZED' })
      }
      return { token: await authenticator.token(user) }
    },
    ready: (_input, options) => probe?.check(options),
    health: () => undefined,
    openapi: openApiDocument,
  }
}

/** In order of completion, as the answers arrive. */
function statusOf(
  cluster: Cluster,
  cids: readonly CID[],
  local: boolean,
  options: AbortOptions,
): AsyncIterable<GlobalPinInfo> {
  return mapConcurrent(cids, STATUS_CONCURRENCY, cid =>
    local ? cluster.statusLocal(cid, options) : cluster.status(cid, options),
  )
}

function globally(infos: AsyncIterable<PinInfo>): AsyncIterable<GlobalPinInfo> {
  return mapBatches(batchesOf(infos), batch => batch.map(info => globalPinInfo([info])))
}
