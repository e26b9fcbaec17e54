/** Do a Go and a TypeScript peer answer alike? Each function lists the differences between two peers' answers. */
import type { InteropPeer, Json } from './peers.ts'

/** Lists what differs between what `left` and `right` answer. */
export async function disagreements(left: InteropPeer, right: InteropPeer): Promise<string[]> {
  const both = async (read: (peer: InteropPeer) => Promise<Map<string, string>>) =>
    [await read(left), await read(right)] as const
  return [
    ...compare('status', await both(statuses)),
    ...compare('peers ls', await both(peerIds)),
    ...compare('health graph', await both(graph)),
    ...compare('recover', await both(recovered)),
    ...compare('ipfs gc', await both(collected)),
  ]
}

/** By CID: which peer says what. Times are left out where they are those of the question. */
async function statuses(peer: InteropPeer): Promise<Map<string, string>> {
  return new Map((await peer.list('/pins')).map(info => [info.cid, text(withoutRemoteTimes(info))]))
}

async function recovered(peer: InteropPeer): Promise<Map<string, string>> {
  const infos = await peer.list('/pins/recover', 'POST')
  return new Map(infos.map(info => [info.cid, text(withoutProgress(info))]))
}

/**
 * A Go peer queues its direct pins anew at every recover (its daemon listing finds recursive pins only), so two recovers in a row find them at
 * different points of that work.
 */
function withoutProgress(info: Json): Json {
  const peers = Object.entries<Json>(info.peer_map).map(([id, { status, error }]) => [
    id,
    { status: ['pin_queued', 'pinning', 'pinned'].includes(status) ? 'pin' : status, error },
  ])
  return { cid: info.cid, name: info.name, peer_map: Object.fromEntries(peers) }
}

/** A peer that does not keep a pin answers with the time of its last ping or of the question. Go does not tell of sizes. */
function withoutRemoteTimes(info: Json): Json {
  const peers = Object.entries<Json>(info.peer_map).map(
    ([id, { size: _size, progress: _progress, ...short }]) => [
      id,
      short.status === 'remote' ? { ...short, timestamp: '' } : short,
    ],
  )
  return { ...info, created: Date.parse(info.created), peer_map: Object.fromEntries(peers) }
}

async function peerIds(peer: InteropPeer): Promise<Map<string, string>> {
  return new Map(
    (await peer.list('/peers')).map(id => [
      id.id,
      text({
        ...id,
        addresses: id.addresses.toSorted(),
        cluster_peers: id.cluster_peers.toSorted(),
        cluster_peers_addresses: undefined,
        ipfs: { ...id.ipfs, addresses: id.ipfs.addresses.toSorted() },
      }),
    ]),
  )
}

async function graph(peer: InteropPeer): Promise<Map<string, string>> {
  const { cluster_id: _self, ...rest } = await peer.json('/health/graph')
  return new Map(
    Object.entries<Json>(rest).map(([part, links]) => [
      part,
      text(
        Object.fromEntries(
          Object.entries<Json>(links ?? {})
            .map(([id, value]) => [id, Array.isArray(value) ? value.toSorted() : value] as const)
            .sort(([a], [b]) => (a < b ? -1 : 1)),
        ),
      ),
    ]),
  )
}

async function collected(peer: InteropPeer): Promise<Map<string, string>> {
  const response = await peer.request('POST', '/ipfs/gc')
  const { peer_map } = (await response.json()) as Json
  return new Map(Object.entries<Json>(peer_map).map(([id, gc]) => [id, text({ ...gc, keys: undefined })]))
}

function text(value: Json): string {
  return JSON.stringify(sorted(value))
}

/** Go writes what is empty as null, as `[]` or as `{}`, depending on the way it came; clients take them for the same. */
function sorted(value: Json): Json {
  if (isEmpty(value)) return null
  if (Array.isArray(value)) return value.map(sorted)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(
    Object.entries<Json>(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  )
}

function isEmpty(value: Json): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0
}

function compare(what: string, [left, right]: readonly [Map<string, string>, Map<string, string>]): string[] {
  const differences: string[] = []
  for (const key of new Set([...left.keys(), ...right.keys()])) {
    const [a, b] = [left.get(key), right.get(key)]
    if (a !== b) differences.push(`${what} ${key}:\n  ${a}\n  ${b}`)
  }
  return differences
}
