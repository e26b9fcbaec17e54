/** Writes of every kind, from all peers of a cluster at once. */
import { randomBytes } from 'node:crypto'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { identity } from 'multiformats/hashes/identity'
import type { InteropPeer, Json } from './peers.ts'

/** Requests under way at one peer. */
const CONCURRENCY = 8
const HOUR_MS = 3_600_000

/** A CID that every daemon has: its content is in it. */
export function freshCid(): string {
  return CID.createV1(raw.code, identity.digest(randomBytes(24))).toString()
}

/** Runs `work` for each of `count` numbers, at every peer in turn, a few at once at each. Throws the first failure. */
export async function spread(
  peers: readonly InteropPeer[],
  count: number,
  work: (peer: InteropPeer, index: number) => Promise<void>,
): Promise<void> {
  let next = 0
  const worker = async () => {
    while (next < count) {
      const index = next++
      await work(peers[index % peers.length] as InteropPeer, index)
    }
  }
  await Promise.all(Array.from({ length: CONCURRENCY * peers.length }, worker))
}

/** The options of pin number `index`: all kinds come by turns. */
function pinQuery(index: number, peers: readonly InteropPeer[]): string {
  const kinds: (() => Record<string, string>)[] = [
    () => ({ name: `pin ${index} äöü` }),
    () => ({ 'replication-min': '2', 'replication-max': '3' }),
    () => ({ 'replication-min': '1', 'replication-max': '1', name: 'one copy' }),
    () => ({ mode: 'direct', name: 'direct' }),
    () => ({ 'meta-owner': 'somebody', 'meta-z': `${index}`, name: 'metadata' }),
    () => ({ 'expire-at': new Date(Date.now() + 100 * HOUR_MS).toISOString() }),
    () => ({ origins: `/ip4/127.0.0.1/tcp/${1024 + (index % 1000)}/p2p/${peers[0]?.id}` }),
    () => ({
      'replication-min': '1',
      'replication-max': '2',
      'user-allocations': `${peers[index % peers.length]?.id}`,
    }),
    () => ({ 'shard-size': '1000000', 'replication-min': '2', 'replication-max': '2' }),
    () => ({}),
  ]
  return new URLSearchParams(kinds[index % kinds.length]?.()).toString()
}

/** Pins `count` new CIDs with all kinds of options. */
export async function pinMany(peers: readonly InteropPeer[], count: number): Promise<string[]> {
  const cids = Array.from({ length: count }, freshCid)
  await spread(peers, count, async (peer, index) => {
    await peer.request('POST', `/pins/${cids[index]}?${pinQuery(index, peers)}`)
  })
  return cids
}

export async function unpinMany(peers: readonly InteropPeer[], cids: readonly string[]): Promise<void> {
  await spread(peers, cids.length, async (peer, index) => {
    await peer.request('DELETE', `/pins/${cids[index]}`)
  })
}

/** Pins them again under another name and with other options. */
export async function updateMany(peers: readonly InteropPeer[], cids: readonly string[]): Promise<void> {
  await spread(peers, cids.length, async (peer, index) => {
    await peer.request('POST', `/pins/${cids[index]}?name=updated-${index}&meta-updated=yes`)
  })
}

/** New pins made from old ones with `pin-update`. */
export async function replaceMany(peers: readonly InteropPeer[], cids: readonly string[]): Promise<string[]> {
  const replaced = cids.map(freshCid)
  await spread(peers, cids.length, async (peer, index) => {
    await peer.request('POST', `/pins/${replaced[index]}?pin-update=${cids[index]}`)
  })
  return replaced
}

/** Adds a file of `bytes` through a peer; resolves with its root. */
export async function addFile(peer: InteropPeer, bytes: number, query = ''): Promise<string> {
  const form = new FormData()
  form.set('file', new Blob([randomBytes(bytes)]), 'file.bin')
  const response = await peer.request('POST', `/add?stream-channels=false&${query}`, form)
  const outputs: Json[] = await response.json()
  return outputs.at(-1).cid
}
