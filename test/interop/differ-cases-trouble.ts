/** Peers that are gone, IPFS daemons that do not answer, peers that only follow. */
import { add, ask, cidOf, file, nobodys, type DifferCase } from './differ-case.ts'

const [first, second, third] = [cidOf(1), cidOf(2), cidOf(3)]
const mine = cidOf(20)
const others = cidOf(21)
const both = cidOf(22)
const lists = { order: 'lists' } as const
const lines = { order: 'lines' } as const

export const togetherCases: readonly DifferCase[] = [
  ask('GET', '/peers', lists),
  ask('GET', '/id', lists),
  ask('POST', `/pins/${mine}?replication=1&user-allocations={self}&name=mine`),
  ask('POST', `/pins/${others}?replication=1&user-allocations={other}&name=others`),
  ask('POST', `/pins/${both}?name=both`),
  ask('POST', `/pins/${cidOf(23)}?replication=2`, lists),
  ask('POST', `/pins/${cidOf(24)}?replication=3`),
  ask('POST', `/pins/${cidOf(24)}?replication-min=1&replication-max=3`, lists),
  ...[mine, others, both].map(cid => ask('GET', `/allocations/${cid}`)),
  ...[mine, both].map(cid => ask('GET', `/pins/${cid}`)),
  ...[mine, others].map(cid => ask('GET', `/pins/${cid}?local=true`)),
  ask('GET', `/pins/${nobodys(1)}`),
  ask('GET', '/pins?local=true&filter=remote', lines),
  ask('GET', '/pins?local=true&filter=pinned', lines),
  ask('POST', `/pins/${mine}/recover`),
  ask('POST', `/pins/${others}/recover?local=true`),
  ask('POST', '/peers', { note: 'the other', body: '{"peer_id":"{other}"}', ...lists }),
  ask('DELETE', '/peers/{other}'),
  ask('GET', '/health/graph', { order: 'maps' }),
  ask('GET', '/monitor/metrics/ping', lists),
  ask('GET', '/monitor/metrics/freespace', lists),
  ask('GET', '/health/alerts'),
  add('replication=1&user-allocations={self}', [file('a.txt', 'only here')]),
  add('replication=2', [file('a.txt', 'on both')], lists),
]

export const unreachableCases: readonly DifferCase[] = [
  ask('GET', '/peers', lists),
  ask('GET', `/pins/${others}`),
  ask('GET', `/pins/${both}`),
  ask('GET', `/pins/${mine}`),
  ask('GET', `/pins/${others}?local=true`),
  ask('GET', `/pins?cids=${others},${mine}`, lines),
  ask('GET', '/pins', { ...lists }),
  ask('GET', '/pins?filter=cluster_error', lists),
  ask('GET', '/pins?filter=unpin_error', lists),
  ask('POST', `/pins/${others}/recover`),
  ask('POST', '/pins/recover', lists),
  ask('POST', '/ipfs/gc', lists),
  ask('GET', '/health/graph', { order: 'maps' }),
  ask('POST', '/peers', { note: 'one that is gone', body: '{"peer_id":"{other}"}' }),
  add('replication=1&user-allocations={other}', [file('g.txt', 'to who is gone')]),
  ask('POST', `/pins/${cidOf(30)}?replication=1&user-allocations={other}`),
]

export const gonePins: readonly DifferCase[] = [
  ask('GET', '/health/alerts', { note: 'after one is gone', ...lists }),
  ask('GET', '/peers', { note: 'after one is gone', ...lists }),
  ask('GET', `/pins/${others}`, { note: 'after its peer is gone' }),
  ask('GET', `/pins/${both}`, { note: 'after one is gone' }),
  ask('POST', `/pins/${cidOf(31)}?replication=2`),
  ask('POST', `/pins/${cidOf(32)}?replication-min=1&replication-max=2`),
  add('replication=2', [file('h.txt', 'needs two')]),
  ask('GET', '/monitor/metrics/ping', { note: 'after one is gone', ...lists }),
]

const asking: readonly DifferCase[] = [
  ask('GET', '/id', lists),
  ask('GET', '/peers', lists),
  ask('GET', '/health'),
  ask('GET', `/allocations/${first}`),
  ask('GET', `/pins/${first}`),
  ask('GET', `/pins/${first}?local=true`),
  ask('GET', `/pins/${nobodys(1)}`),
  ask('GET', '/pins?filter=pinned', lines),
  ask('GET', '/pins?local=true', lines),
  ask('GET', '/pins?filter=pin_queued', lines),
  ask('POST', '/ipfs/gc'),
  ask('POST', '/ipfs/gc?local=true'),
  ask('POST', `/pins/ipfs/${first}`),
  ask('POST', `/pins/ipns/x.example`),
  ask('DELETE', `/pins/ipfs/${first}`),
  ask('GET', '/health/graph', { order: 'maps' }),
  add('', [file('d.txt', 'no daemon')]),
  add('stream-channels=false', [file('d.txt', 'no daemon')]),
  add('no-pin=true&local=true', [file('d.txt', 'no daemon')]),
  ask('POST', `/pins/${cidOf(40)}?name=later`),
  ask('GET', `/allocations/${cidOf(40)}`),
  ask('DELETE', `/pins/${second}`),
  ask('GET', `/allocations/${second}`),
]

export const downCases: readonly DifferCase[] = [
  ...asking,
  ask('GET', `/pins/${cidOf(40)}`, { note: 'pinned without a daemon' }),
  ask('GET', '/pins?filter=error', lines),
  ask('POST', `/pins/${cidOf(40)}/recover`),
  ask('POST', '/pins/recover', lines),
]

/** After the daemon is back. */
export const aloneCases: readonly DifferCase[] = [
  ask('POST', `/pins/${cidOf(40)}/recover`, { note: 'the daemon is back' }),
  ask('GET', '/id', { note: 'the daemon is back', ...lists }),
  ask('GET', `/pins/${third}`, { note: 'the daemon is back' }),
]

export const silentCases: readonly DifferCase[] = asking

export const followerCases: readonly DifferCase[] = [
  ask('GET', '/id', lists),
  ask('GET', '/peers', lists),
  ask('GET', '/pins', lines),
  ask('GET', `/pins/${first}`),
  ask('GET', `/pins/${first}?local=true`),
  ask('GET', `/pins/${nobodys(1)}`),
  ask('GET', '/allocations', lines),
  ask('GET', `/allocations/${first}`),
  ask('POST', `/pins/${cidOf(40)}`),
  ask('POST', `/pins/${cidOf(40)}?replication=x`),
  ask('POST', '/pins/x'),
  ask('POST', `/pins/${second}?pin-update=${first}`),
  ask('POST', `/pins/ipfs/${first}`),
  ask('POST', `/pins/ipns/x.example`),
  ask('DELETE', `/pins/${first}`),
  ask('DELETE', `/pins/${nobodys(1)}`),
  ask('DELETE', `/pins/ipfs/${first}`),
  add('', [file('f.txt', 'a follower')]),
  add('stream-channels=false', [file('f.txt', 'a follower')]),
  add('no-pin=true', [file('f.txt', 'a follower')]),
  add('local=true', [file('f.txt', 'a follower')]),
  add('layout=round', [file('f.txt', 'a follower')]),
  ask('POST', `/pins/${first}/recover`),
  ask('POST', `/pins/${first}/recover?local=true`),
  ask('POST', '/pins/recover', lines),
  ask('POST', '/ipfs/gc', lists),
  ask('POST', '/ipfs/gc?local=true', lists),
  ask('GET', '/health/graph', { order: 'maps' }),
  ask('GET', '/monitor/metrics', lists),
  ask('GET', '/monitor/metrics/ping', lists),
  ask('POST', '/peers', { body: '{"peer_id":"{self}"}', ...lists }),
  ask('DELETE', '/peers/{self}'),
]
