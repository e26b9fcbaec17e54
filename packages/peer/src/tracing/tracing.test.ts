/** Three peers on loopback, each with a daemon, and a collector that sees what they trace. */
import {
  formatTraceHeaders,
  silentLogger,
  systemClock,
  systemRandom,
  toHex,
  type Clock,
  type Span,
  type Tracer,
} from '@ipfs-cluster/base'
import { createFakeKubo, rawBlock, waitFor, type FakeKubo } from '@ipfs-cluster/testkit'
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { initialConfig, toPeerConfig } from '../config/index.ts'
import { createIdentity } from '../identity/index.ts'
import { createKuboConnector } from '../ipfsconn/index.ts'
import { createClusterPeer, type ClusterPeer, type ClusterPeerOverrides } from '../peer.ts'
import { GATHER_MS } from './exporter.ts'
import { startCollector, treeOf, type CollectedSpan, type Collector } from './test-collector.ts'

const COUNT = 3
const KIND = { internal: 1, server: 2, client: 3 }
const SECRET = systemRandom.bytes(32)
const owned = new AsyncDisposableStack()
/** Spans wait for others not as long as in life. */
const clock: Clock = {
  ...systemClock,
  sleep: (ms, options) => systemClock.sleep(ms === GATHER_MS ? 20 : ms, options),
}
let collector: Collector
const kubos: FakeKubo[] = []
const peers: ClusterPeer[] = []

before(async () => {
  collector = owned.use(await startCollector())
  const folder = await mkdtemp(join(tmpdir(), 'tracing-'))
  owned.defer(() => rm(folder, { recursive: true }))
  for (let i = 0; i < COUNT; i++) {
    const kubo = owned.use(await createFakeKubo())
    kubos.push(kubo)
    peers.push(owned.use(await startPeer(join(folder, `p${i}`), kubo, peers[0])))
  }
  await waitFor(() => peers.every(peer => peer.cluster.metrics('freespace').length === COUNT), {
    what: 'everybody knows everybody',
    timeoutMs: 20_000,
  })
})

after(() => owned.disposeAsync())

async function startPeer(
  folder: string,
  kubo: FakeKubo,
  first: ClusterPeer | undefined,
  overrides: ClusterPeerOverrides = {},
): Promise<ClusterPeer> {
  const name = folder.split('/').at(-1) ?? ''
  const initial = initialConfig({
    consensus: 'crdt',
    datastore: 'pebble',
    ipfs: 'ipfshttp',
    peername: name,
    secret: SECRET,
  })
  const { observations, ipfs_connector, api, cluster } = initial
  const config = toPeerConfig(
    {
      ...initial,
      cluster: { ...cluster, listen_multiaddress: ['/ip4/127.0.0.1/tcp/0'], mdns_interval: 0 },
      api: { restapi: api.restapi && { ...api.restapi, http_listen_multiaddress: ['/ip4/127.0.0.1/tcp/0'] } },
      ipfs_connector: {
        ipfshttp: ipfs_connector.ipfshttp && { ...ipfs_connector.ipfshttp, node_multiaddress: kubo.api },
      },
      observations: {
        ...observations,
        tracing: observations.tracing && {
          ...observations.tracing,
          enable_tracing: true,
          sampling_prob: 0,
          otlp_endpoint: collector.url.replace('//', '//user:s3cret@'),
        },
      },
    },
    folder,
  )
  const identity = await createIdentity()
  const join = first?.addresses.slice(0, 1) ?? []
  const peer = await createClusterPeer({ ...config, identity, join }, { clock, ...overrides })
  await peer.cluster.ready
  return peer
}

/** A request in a trace of its own, whose spans are handed over when it is complete. */
async function traceOf(
  path: string,
  init: RequestInit,
  complete: (spans: readonly CollectedSpan[]) => boolean,
): Promise<{
  readonly root: CollectedSpan
  readonly spans: readonly CollectedSpan[]
  readonly text: string
}> {
  const traceId = toHex(systemRandom.bytes(16))
  const spanId = toHex(systemRandom.bytes(8))
  const context = { traceId, spanId, sampled: true, traceState: 'vendor=7' }
  const headers = { ...formatTraceHeaders(context), Authorization: 'Bearer s3cret' }
  const response = await fetch(`${peers[0]?.restUrls[0]}${path}`, { ...init, headers })
  const text = await response.text()
  const spans = await waitFor(
    () => {
      const mine = collector.spans.filter(span => span.traceId === traceId)
      return mine.some(span => span.parentSpanId === spanId) && complete(mine) && mine
    },
    { what: `the spans of ${path}` },
  )
  const root = spans.find(span => span.parentSpanId === spanId) ?? assert.fail()
  assert.ok(spans.every(span => span.traceState === 'vendor=7'))
  return { root, spans, text }
}

const named = (spans: readonly CollectedSpan[], name: string, kind: number) =>
  spans.filter(span => span.name === name && span.kind === kind)
const serviceOf = ({ resource }: CollectedSpan) => resource['service.name']

test('a pin, and what becomes of it', async () => {
  const { cid } = rawBlock('a pin')
  const { root, spans } = await traceOf(`/pins/${cid}`, { method: 'POST' }, all => all.length >= 3)
  assert.deepEqual(treeOf(spans, root), ['POST /pins/{hash}', ['cluster/Pin', ['consensus/LogPin']]])
  assert.equal(spans.length, 3)
  assert.equal(root.kind, KIND.server)
  assert.deepEqual(root.attributes, {
    'http.request.method': 'POST',
    'http.route': '/pins/{hash}',
    'network.protocol.version': '1.1',
    'http.response.status_code': '200',
  })
  assert.deepEqual(root.resource, {
    'service.name': 'cluster-daemon-p0',
    'service.version': root.resource['service.version'],
    'service.instance.id': peers[0]?.id,
    cluster_id: peers[0]?.id,
  })
  const [commit] = named(spans, 'consensus/LogPin', KIND.internal)
  assert.deepEqual(commit?.attributes, { cid: cid.toString(), writes_under_way: '0' })
  assert.ok(root.durationNs > (commit?.durationNs ?? root.durationNs))
})

test('a status asks the other peers, in the same trace', async () => {
  const rpc = 'rpc/PinTracker.Status'
  const { cid } = rawBlock('a status')
  const pinned = () => kubos.every(kubo => kubo.pins.has(cid.toString()))
  await fetch(`${peers[1]?.restUrls[0]}/pins/${cid}`, { method: 'POST' })
  await waitFor(pinned, { what: 'the pin everywhere' })
  // Calls of a peer that was never called may come before identify has told of its kind.
  const { root, spans } = await traceOf(
    `/pins/${cid}`,
    {},
    all =>
      named(all, rpc, KIND.server).length === COUNT - 1 &&
      named(all, rpc, KIND.client).length === COUNT - 1 &&
      named(all, 'cluster/Status', KIND.internal).length === 1,
  )
  const [status] = named(spans, 'cluster/Status', KIND.internal)
  assert.equal(status?.parentSpanId, root.spanId)
  const clients = named(spans, rpc, KIND.client)
  const servers = named(spans, rpc, KIND.server)
  assert.deepEqual(
    servers.map(serviceOf).sort(),
    ['cluster-daemon-p1', 'cluster-daemon-p2'],
    'they tell of their part',
  )
  for (const server of servers) {
    const client = clients.find(({ spanId }) => spanId === server.parentSpanId)
    assert.equal(client?.parentSpanId, status?.spanId)
    assert.equal(client?.attributes['peer'], server.resource['cluster_id'])
    assert.equal(server.attributes['peer'], peers[0]?.id)
  }
})

test('an add streams its blocks to all, and pins', async () => {
  const body = new FormData()
  body.append('file', new Blob(['some content']), 'secret-name.txt')
  const { root, spans, text } = await traceOf('/add?name=s3cret', { method: 'POST', body }, all =>
    ['ipfsconn/ipfshttp/BlockStream', 'consensus/LogPin'].every(
      name => all.filter(span => span.name === name).length >= (name.startsWith('ipfs') ? COUNT : 1),
    ),
  )
  assert.match(text, /"cid"/)
  const [add] = named(spans, 'cluster/Add', KIND.internal)
  assert.equal(add?.parentSpanId, root.spanId)
  assert.equal(add?.attributes['items'], '1')
  const under = (parent: CollectedSpan | undefined) =>
    spans
      .filter(({ parentSpanId }) => parentSpanId === parent?.spanId)
      .map(({ name }) => name)
      .sort()
  const remote = Array.from({ length: COUNT - 1 }, () => 'rpc/IPFSConnector.BlockStream')
  const own = ['cluster/BlockAllocate', 'consensus/LogPin', 'ipfsconn/ipfshttp/BlockStream']
  assert.deepEqual(under(add), [...own, ...remote])
  const servers = named(spans, 'rpc/IPFSConnector.BlockStream', KIND.server)
  assert.deepEqual(servers.map(serviceOf).sort(), ['cluster-daemon-p1', 'cluster-daemon-p2'])
  for (const server of servers) assert.deepEqual(under(server), ['ipfsconn/ipfshttp/BlockStream'])
})

test('failures have their code; what is not asked for is not traced; nothing tells a secret', async () => {
  const { cid } = rawBlock('never pinned')
  const { root, spans } = await traceOf(`/pins/${cid}`, { method: 'DELETE' }, all => all.length >= 2)
  assert.equal(root.attributes['http.response.status_code'], '404')
  assert.deepEqual(root.status, {}, 'the fault of the client')
  const [unpin] = named(spans, 'cluster/Unpin', KIND.internal)
  assert.equal(unpin?.status.code, 2)
  assert.equal(unpin?.attributes['error.type'], 'PIN_NOT_FOUND')
  const unknown = await traceOf('/nowhere/s3cret', {}, () => true)
  assert.equal(unknown.root.name, 'GET')

  // The share of this test is 0: only what came with a trace that is recorded.
  assert.ok(collector.spans.every(({ traceState }) => traceState === 'vendor=7'))
  const login = Buffer.from('user:s3cret').toString('base64')
  for (const request of collector.requests) {
    const [head = '', ...body] = request.split('\n')
    assert.match(head, new RegExp(`"authorization":"Basic ${login}"`))
    assert.ok(!body.join('\n').includes('s3cret'), request)
    assert.ok(!body.join('\n').includes(toHex(SECRET)))
    assert.ok(!body.join('\n').includes('secret-name'))
  }
})

test("a tracer of the caller's own gets everything, the operations of the pin tracker too", async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tracer-'))
  const seen: string[] = []
  const span: Span = {
    set: () => undefined,
    fail: () => undefined,
    end: () => undefined,
    run: work => work(),
  }
  const tracer: Tracer = {
    start(name, { parent, attributes = {} } = {}) {
      seen.push(`${name} ${parent === null ? 'root' : 'child'} ${String(attributes['cid'] ?? '')}`)
      return span
    },
    active: () => undefined,
  }
  const { cid } = rawBlock('own tracer')
  await using kubo = await createFakeKubo()
  const requests = collector.requests.length
  {
    await using peer = await startPeer(folder, kubo, undefined, { tracer })
    await fetch(`${peer.restUrls[0]}/pins/${cid}`, { method: 'POST' })
    await waitFor(() => kubo.pins.size === 1, { what: 'the pin' })
  }
  assert.deepEqual(seen, [
    'POST /pins/{hash} root ',
    `cluster/Pin child ${cid}`,
    `tracker/stateless/pin root ${cid}`,
  ])
  assert.equal(collector.requests.length, requests, 'instead of ours')
  await rm(folder, { recursive: true })
})

test('the daemon is told of the trace', async () => {
  const seen: IncomingHttpHeaders[] = []
  const server = createServer((request, response) => {
    seen.push(request.headers)
    response.end('{"RepoSize":1,"StorageMax":2}')
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const context = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), sampled: true, traceState: 'x=1' }
  let current: typeof context | undefined = context
  const trace = () => current && formatTraceHeaders(current)
  const config = {
    nodeMultiaddress: `/ip4/127.0.0.1/tcp/${port}`,
    ipfsRequestTimeoutMs: 5000,
    pinTimeoutMs: 5000,
    unpinTimeoutMs: 5000,
    repogcTimeoutMs: 5000,
    unpinDisable: false,
  }
  {
    await using kubo = createKuboConnector({ clock: systemClock, logger: silentLogger, trace }, config)
    await kubo.repoStat()
    current = undefined
    await kubo.repoStat()
  }
  server.close()
  assert.deepEqual(
    seen.map(({ traceparent, tracestate }) => [traceparent, tracestate]),
    [
      [`00-${context.traceId}-${context.spanId}-01`, 'x=1'],
      [undefined, undefined],
    ],
  )
})
