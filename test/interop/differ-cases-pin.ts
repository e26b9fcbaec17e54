/** What writes the pinset: each option of a pin, good and bad, updates, re-pins, paths, unpins, recover. */
import { ask, cidOf, nobodys, type DifferCase } from './differ-case.ts'

let next = 10
/** A file that no case has pinned yet. */
const fresh = () => cidOf(next++)
const pin = (query: string, cid = fresh()) => ask('POST', `/pins/${cid}?${query}`)
/** Go pins all the same after its answer to a bad query. */
const refused = (cid: string, query: string) => ({
  ...pin(query, cid),
  undo: ask('DELETE', `/pins/${cid}`),
})
const status = (cid: string) => ask('GET', `/pins/${cid}`)
const allocation = (cid: string) => ask('GET', `/allocations/${cid}`)

const good = [
  'name=a+name%20%C3%A4%3C%26%3E',
  'replication=1',
  'replication-min=1&replication-max=1',
  'replication-min=-1&replication-max=-1',
  'replication=-1',
  'replication-min=1&replication-max=5',
  'replication=1&replication-min=x&replication-max=9',
  'mode=recursive',
  'mode=nonsense',
  'shard-size=123456',
  'user-allocations={self}&replication=1',
  'user-allocations=x,,{self}',
  'expire-at=2099-01-02T03:04:05Z',
  'expire-at=2099-01-02T03:04:05.123456789%2B02:00',
  'expire-in=1h',
  'expire-in=1h30m2s',
  'meta-a=1&meta-B=%C3%A4&meta-=empty&meta-a=2',
  'origins=/ip4/1.2.3.4/tcp/4001/p2p/QmbrCtydGyPeHiLURSPMqrvE5mCgMCwFYq3UD4XLCeAYw6',
  'nonsense=1&local=true',
]

const bad = [
  'replication=x',
  'replication-min=x',
  'replication-max=1.5',
  'replication-min=99999999999999999999',
  'replication-min=+1&replication-max=%2B1',
  'replication-min=2&replication-max=1',
  'replication-min=-2',
  'replication-min=1&replication-max=-2',
  'replication-min=-1&replication-max=2',
  'replication-min=1&replication-max=-1',
  'replication=7',
  'replication-min=2&replication-max=2',
  'replication-min=0x1',
  'shard-size=-1',
  'shard-size=x',
  'shard-size=18446744073709551616',
  'expire-at=tomorrow',
  'expire-at=2001-01-02T03:04:05Z',
  'expire-at=2099-13-02T03:04:05Z',
  'expire-at=2099-01-02',
  'expire-at=2099-01-02T03:04:05+02:00',
  'expire-in=1ms',
  'expire-in=-1h',
  'expire-in=1',
  'expire-in=x',
  'expire-in=1d',
  'expire-in=0',
  'expire-in=999999999h',
  'pin-update=x',
  `pin-update=${nobodys(1)}`,
  'origins=x',
  'origins=/ip4/1.2.3.4/tcp/4001',
  'origins=/ip4/1.2.3/tcp/1/p2p/QmbrCtydGyPeHiLURSPMqrvE5mCgMCwFYq3UD4XLCeAYw6',
  'origins=,',
  'origins=/ip4/1.2.3.4/tcp/4001/p2p/x',
  'origins=/nonsense/1',
  `name=${'n'.repeat(3000)}`,
  `meta-k=${'v'.repeat(3000)}`,
]

function pinOptions(): DifferCase[] {
  const cases = good.flatMap(query => {
    const cid = fresh()
    return [pin(query, cid), allocation(cid)]
  })
  return [...cases, ...bad.map(query => refused(fresh(), query))]
}

function chains(): DifferCase[] {
  const [first, second, third, direct, both] = [fresh(), fresh(), fresh(), fresh(), fresh()]
  return [
    ask('POST', `/pins/${first}?name=first&meta-k=v&replication=1`),
    ask('POST', `/pins/${second}?pin-update=${first}`),
    allocation(second),
    ask('POST', `/pins/${third}?pin-update=${second}&name=third&expire-in=2h&replication=5&meta-z=z`),
    allocation(third),
    status(third),
    ask('POST', `/pins/${third}?pin-update=${third}&name=itself`),
    allocation(third),
    ask('POST', `/pins/${first}?pin-update=${nobodys(2)}`),
    ask('POST', `/pins/${first}?name=again`),
    allocation(first),
    ask('POST', `/pins/${first}?name=again`),
    ask('POST', `/pins/${direct}?mode=direct`),
    allocation(direct),
    status(direct),
    ask('DELETE', `/pins/${direct}`),
    ask('POST', `/pins/ipfs/${both}?mode=direct`),
    allocation(both),
    status(both),
    ask('GET', '/pins?filter=pinned', { note: 'with a direct pin', order: 'lines' }),
    ask('POST', `/pins/ipfs/${both}?mode=recursive`),
    allocation(both),
    ask('POST', `/pins/ipfs/${both}?mode=direct`, { note: 'over a recursive one' }),
    ask('DELETE', `/pins/${second}`),
    ask('DELETE', `/pins/${second}`, { note: 'again' }),
    status(second),
    ask('DELETE', `/pins/ipfs/${both}`),
    ask('DELETE', `/pins/ipfs/${both}`, { note: 'again' }),
    ask('DELETE', `/pins/${nobodys(3)}`),
    ask('DELETE', '/pins/x'),
    { ...ask('DELETE', `/pins/${third}?replication=x`), undo: ask('DELETE', `/pins/${third}`) },
    ask('DELETE', `/pins/${first}?name=ignored`),
  ]
}

const root = cidOf(1)
const paths: readonly DifferCase[] = [
  ask('POST', `/pins/ipfs/${root}`),
  ask('POST', `/pins/ipfs/${root}?name=by-path&mode=recursive`),
  ask('POST', `/pins/ipfs/${root}/nothing`),
  ask('POST', '/pins/ipfs/x'),
  ask('POST', '/pins/ipfs'),
  ask('POST', '/pins/ipfs/x/y'),
  ask('POST', '/pins/ipns/x'),
  ask('POST', '/pins/ipns/docs.example.invalid'),
  ask('POST', `/pins/ipld/${root}`),
  ask('POST', '/pins/ipld/x'),
  ask('POST', `/pins/other/${root}`),
  ask('POST', `/pins/ipfs/${root}/a%2Fb`),
  ask('POST', `/pins/ipfs/${root}?replication=x`),
  ask('POST', '/pins/ipfs/x?replication=x'),
  ask('DELETE', '/pins/ipfs/x'),
  ask('DELETE', `/pins/ipfs/${root}/nothing`),
  ask('DELETE', `/pins/ipns/x`),
  ask('DELETE', `/pins/other/${root}`),
  ask('POST', '/pins/x'),
  ask('POST', '/pins/x?replication=x'),
  ask('POST', '/pins/Qm'),
  ask('POST', `/pins/${root}?`, { note: 'with a body', body: '{"name":"x"}' }),
  ask('POST', '/pins/bafkqaaa', { note: 'identity' }),
  ask('POST', `/pins/${'b'.repeat(3000)}`),
]

const recover: readonly DifferCase[] = [
  ask('POST', `/pins/${root}/recover`),
  ask('POST', `/pins/${root}/recover?local=true`),
  ask('POST', `/pins/${nobodys(0)}/recover`),
  ask('POST', `/pins/${nobodys(0)}/recover?local=true`),
  ask('POST', '/pins/x/recover'),
  ask('POST', `/pins/${root}/recover?replication=x`),
  ask('POST', '/pins/recover', { order: 'lines' }),
  ask('POST', '/pins/recover?local=true', { order: 'lines' }),
  ask('POST', '/pins/recover?local=x', { order: 'lines' }),
]

const unavailable: readonly DifferCase[] = [
  ask('POST', `/pins/${nobodys(9)}?name=nobody`),
  ask('GET', `/pins/${nobodys(9)}`),
  ask('GET', '/pins?filter=pinning', { order: 'lines' }),
  ask('GET', '/pins?filter=pinning,error', { order: 'lines' }),
  ask('POST', `/pins/${nobodys(9)}/recover`),
  ask('POST', '/pins/recover', { note: 'one is pinning', order: 'lines' }),
  ask('DELETE', `/pins/${nobodys(9)}`),
  ask('GET', `/pins/${nobodys(9)}`, { note: 'after' }),
]

const collect: readonly DifferCase[] = [
  ask('POST', '/ipfs/gc?local=true', { order: 'lists' }),
  ask('POST', '/ipfs/gc', { order: 'lists' }),
  ask('POST', '/ipfs/gc?local=x', { order: 'lists' }),
]

export const pinCases: readonly DifferCase[] = [
  ...paths,
  ...pinOptions(),
  ...chains(),
  ...recover,
  ...unavailable,
]
export const gcCases = collect
