import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encode } from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import { add, block, bytes, connect, file, startNode } from '../test-node.ts'
import { link, startRpc, type TestRpc } from './test-rpc.ts'

const DAG_CBOR = 0x71
const MIB = 1024 * 1024

/** A folder of two files, one of several blocks. */
async function folder({ node }: TestRpc) {
  const root = await add(node, file('d/big', bytes(600_000)), file('d/sub/x', 'small'))
  return { root, big: await node.resolve(`${root}/big`), sub: await node.resolve(`${root}/sub`) }
}

test('block/put names blocks as it is told', async t => {
  const { node, post } = await startRpc(t)
  const cases: readonly (readonly [string, string])[] = [
    ['', 'bafkreiey5jxe6ilpf62lnh77tm5ejbbmhbugzjuf6p2v3remlu73ced34q'],
    ['?format=v0', 'QmYda1cqUPQuG16zUhQ13rkjm8D5CNnhhNWXRoSKZm3wnB'],
    [
      '?cid-codec=dag-pb&mhtype=sha2-512',
      'bafybgqgxrk5qkqttnbs7sryekilatqrq3ladulzwtucdvqqs22jtxekbbyddthrx7hc4zccdniyxg4zqyheozszmf6ptotlc64legkrs2uh2y',
    ],
  ]
  for (const [query, cid] of cases) {
    const { lines } = await post(`/block/put${query}`, { files: { data: 'hi\n' } })
    assert.deepEqual(lines, [{ Key: cid, Size: 3 }])
    assert.ok(await node.blocks.has(CID.parse(cid)))
  }
  const two = await post('/block/put', { files: { a: 'a', b: 'b' } })
  assert.equal(two.lines.length, 2)
  const refusals: readonly (readonly [string, string | RegExp])[] = [
    ['mhtype=nonsense', /^unrecognized multihash function: nonsense/],
    ['mhtype=__proto__', /^unrecognized multihash function/],
    ['cid-codec=nonsense', 'unknown multicodec: "nonsense"'],
    ['format=v0&cid-codec=cbor', /deprecated/],
    ['format=v0&mhtype=sha2-512', 'only sha2-256-32 hash type is allowed for CIDv0'],
    ['mhlen=33', /mhlen=33 is not possible/],
    ['mhlen=4', /./],
  ]
  for (const [query, message] of refusals) {
    const answer = await post(`/block/put?${query}`, { files: { data: 'hi' } })
    assert.equal(answer.status, 500, query)
    if (typeof message === 'string') assert.equal(answer.message, message)
    else assert.match(answer.message, message)
  }
})

test('blocks that are too large are refused', async t => {
  const { post } = await startRpc(t)
  const soft = await post('/block/put', { files: { data: new Uint8Array(2 * MIB + 1) } })
  assert.match(soft.message, /^produced block is over 2MiB/)
  const allowed = await post('/block/put?allow-big-block=true', {
    files: { data: new Uint8Array(2 * MIB + 1) },
  })
  assert.equal(allowed.status, 200)
  const hard = await post('/block/put?allow-big-block=true', { files: { data: new Uint8Array(4 * MIB + 1) } })
  assert.match(hard.message, /^more than 4194304 bytes/)
})

test('block/rm removes what no pin needs', async t => {
  const rpc = await startRpc(t)
  const { node, post } = rpc
  const { root, sub } = await folder(rpc)
  await node.pins.add(root)
  const loose = block('loose')
  await node.blocks.put([loose])
  const absent = block('absent').cid
  const { lines } = await post(`/block/rm?arg=${root}&arg=${sub}&arg=${loose.cid}&arg=${absent}`)
  assert.deepEqual(lines, [
    { Hash: root.toString(), Error: 'pinned: recursive' },
    { Hash: sub.toString(), Error: `pinned via ${root}` },
    { Hash: loose.cid.toString() },
    { Hash: absent.toString(), Error: `ipld: could not find ${absent}` },
  ])
  assert.deepEqual((await post(`/block/rm?arg=${absent}&force=true`)).lines, [{ Hash: absent.toString() }])
  assert.deepEqual((await post(`/block/rm?arg=${absent}&force=true&quiet=true`)).lines, [])
  assert.ok((await node.blocks.has(sub)) && !(await node.blocks.has(loose.cid)))
})

test('dag/put and dag/get translate; paths lead through links', async t => {
  const rpc = await startRpc(t)
  const { post } = rpc
  const { root, big } = await folder(rpc)
  const json = JSON.stringify({ a: 1, b: [1.5, link(root), { '/': { bytes: 'aGk' } }], c: null })
  const [{ Cid }] = (await post('/dag/put', { files: { object: json } })).lines as [{ Cid: { '/': string } }]
  const cid = Cid['/']
  assert.equal((await post(`/dag/get?arg=${cid}`)).text, json)
  const gets: readonly (readonly [string, string])[] = [
    [`${cid}/b/0`, '1.5'],
    [`${cid}/b`, JSON.stringify([1.5, link(root), { '/': { bytes: 'aGk' } }])],
    [`${cid}/c`, 'null'],
    [`${cid}/b/1/sub/x`, '{"Data":{"/":{"bytes":"CAISBXNtYWxsGAU"}},"Links":[]}'],
  ]
  for (const [path, expected] of gets) assert.equal((await post(`/dag/get?arg=${path}`)).text, expected, path)
  const asCbor = await post(`/dag/get?arg=${cid}&output-codec=dag-cbor`)
  assert.deepEqual(CID.parse(cid).multihash.digest.length, 32)
  assert.ok(asCbor.body.length > 0)
  const resolves: readonly (readonly [string, string, string])[] = [
    [`${cid}/b/0`, cid, '/b/0'],
    [`${cid}/b/1/big`, big.toString(), ''],
    [`${root}/big`, big.toString(), ''],
  ]
  for (const [path, to, rest] of resolves) {
    assert.deepEqual((await post(`/dag/resolve?arg=${path}`)).lines, [{ Cid: { '/': to }, RemPath: rest }])
  }
  for (const path of ['x', 'b/9', 'b/-1', 'b/01', 'a/b', '__proto__', 'constructor', 'b/length']) {
    assert.match((await post(`/dag/resolve?arg=${cid}/${path}`)).message, /^no link named /, path)
  }
  const other = await post('/dag/put?store-codec=dag-json&hash=blake2b-256', { files: { object: '{"a":1}' } })
  const { Cid: named } = other.lines[0] as { Cid: { '/': string } }
  assert.deepEqual([CID.parse(named['/']).code, CID.parse(named['/']).multihash.code], [0x0129, 0xb220])
  const refusals: readonly (readonly [string, string])[] = [
    ['not json', ''],
    ['{"a":1}', 'store-codec=dag-pb'],
    ['"text"', 'store-codec=raw'],
    ['{"/":"nonsense"}', ''],
    ['['.repeat(100_000), ''],
    ['{"a":1}', 'hash=nonsense'],
  ]
  for (const [object, query] of refusals) {
    const answer = await post(`/dag/put?${query}`, { files: { object } })
    assert.equal(answer.status, 500, object.slice(0, 20))
    assert.ok(answer.message.length < 1000)
  }
})

test('dag/export and dag/import carry a DAG to another node, verified and whole', async t => {
  const from = await startRpc(t)
  const to = await startRpc(t)
  const { root } = await folder(from)
  const exported = await from.post(`/dag/export?arg=${root}`)
  assert.equal(exported.headers['content-type'], 'application/vnd.ipld.car')
  const car = exported.body
  const imported = await to.post('/dag/import?stats=true', { files: { car } })
  const [first, second] = imported.lines as [object, { Stats: { BlockCount: number } }]
  assert.deepEqual(first, { Root: { Cid: link(root), PinErrorMsg: '' } })
  assert.equal(second.Stats.BlockCount, 7)
  assert.equal(await to.node.pins.kind(root), 'recursive')
  assert.deepEqual(
    (await to.post(`/dag/stat?arg=${root}&progress=false`)).lines,
    (await from.post(`/dag/stat?arg=${root}&progress=false`)).lines,
  )

  const fresh = await startRpc(t)
  const cut = await fresh.post('/dag/import', { files: { car: car.subarray(0, 1000) } })
  assert.match(cut.message, /^import failed after block "Qm\w+": unexpected EOF/)
  const changed = Buffer.from(car)
  changed[changed.length - 1] = (changed.at(-1) as number) ^ 1
  const damaged = await fresh.post('/dag/import', { files: { car: changed } })
  assert.match(damaged.message, /^import failed after block .* do not have this hash/)
  for (const bad of ['', 'hi', Buffer.alloc(100), Buffer.alloc(100, 0xff)]) {
    assert.equal((await fresh.post('/dag/import', { files: { car: bad } })).status, 500)
  }
  assert.deepEqual(await Array.fromAsync(fresh.node.pins.ls()), [])
})

test('a CAR of a part of a DAG is stored, and not pinned', async t => {
  const from = await startRpc(t)
  const to = await startRpc(t)
  const { root, sub, big } = await folder(from)
  await from.post(`/block/rm?arg=${big}`)
  const partial = await from.post(`/dag/export?arg=${root}&local-only=true`)
  assert.deepEqual([partial.status, partial.trailers['x-stream-error']], [200, undefined])
  const whole = await from.post(`/dag/export?arg=${root}&offline=true`)
  assert.match(String(whole.trailers['x-stream-error'] ?? whole.message), /could not find/)
  const [answer] = (await to.post('/dag/import', { files: { car: partial.body } })).lines as [
    { Root: { PinErrorMsg: string } },
  ]
  assert.match(answer.Root.PinErrorMsg, new RegExp(`could not find ${big}`))
  assert.deepEqual([await to.node.blocks.has(sub), await to.node.pins.kind(root)], [true, undefined])
})

test('refs, edges and formats; refs/local', async t => {
  const rpc = await startRpc(t)
  const { node, post } = rpc
  const { root, big, sub } = await folder(rpc)
  const twice = block(encode([root, root]), DAG_CBOR)
  await node.blocks.put([twice])
  const refsOf = async (query: string) =>
    ((await post(`/refs?arg=${query}`)).lines as { Ref: string }[]).map(({ Ref }) => Ref)
  assert.deepEqual(await refsOf(`${root}`), [big.toString(), sub.toString()])
  assert.deepEqual(await refsOf(`${root}&edges=true`), [`${root} -> ${big}`, `${root} -> ${sub}`])
  assert.deepEqual(await refsOf(`${root}&format=${encodeURIComponent('<linkname>:<dst>')}`), [
    `big:${big}`,
    `sub:${sub}`,
  ])
  assert.equal((await refsOf(`${root}&recursive=true`)).length, 6)
  assert.equal((await refsOf(`${root}&recursive=true&max-depth=1`)).length, 2)
  assert.equal((await refsOf(`${root}&recursive=true&max-depth=0`)).length, 0)
  assert.equal((await refsOf(`${twice.cid}&recursive=true`)).length, 14)
  assert.equal((await refsOf(`${twice.cid}&recursive=true&unique=true`)).length, 7)
  assert.equal((await refsOf(`${twice.cid}&recursive=true&unique=true&max-depth=2`)).length, 3)
  const local = (await post('/refs/local')).lines
  assert.equal(local.length, 8)
})

test('pins of this node: kinds, names, listing, update, verify', async t => {
  const rpc = await startRpc(t)
  const { node, post } = rpc
  const { root, big, sub } = await folder(rpc)
  assert.deepEqual((await post('/pin/ls')).lines, [{}])
  assert.deepEqual((await post(`/pin/add?arg=${root}&name=mine`)).lines, [{ Pins: [root.toString()] }])
  assert.deepEqual((await post(`/pin/add?arg=${root}/big&recursive=false`)).lines, [
    { Pins: [big.toString()] },
  ])
  assert.deepEqual((await post('/pin/ls?type=recursive&names=true')).lines, [
    { Keys: { [root.toString()]: { Type: 'recursive', Name: 'mine' } } },
  ])
  assert.deepEqual((await post('/pin/ls?type=direct&stream=true')).lines, [
    { Cid: big.toString(), Type: 'direct' },
  ])
  assert.deepEqual((await post('/pin/ls?name=ine')).lines, [
    { Keys: { [root.toString()]: { Type: 'recursive', Name: 'mine' } } },
  ])
  assert.equal((await post('/pin/ls?type=indirect&stream=true')).lines.length, 5)
  assert.equal((await post('/pin/ls?stream=true')).lines.length, 7)
  const [via] = (await post(`/pin/ls?arg=${sub}`)).lines as [{ Keys: Record<string, { Type: string }> }]
  assert.equal(via.Keys[sub.toString()]?.Type, `indirect through ${root}`)
  const absent = block('absent').cid
  assert.equal((await post(`/pin/ls?arg=${absent}`)).message, `path '${absent}' is not pinned`)
  assert.equal((await post(`/pin/ls?arg=${sub}&type=direct`)).message, `path '${sub}' is not pinned`)
  const progress = (await post(`/pin/add?arg=${sub}&progress=true`)).lines
  assert.deepEqual(progress.at(-1), { Pins: [sub.toString()] })
  assert.match((await post(`/pin/rm?arg=${root}&recursive=false`)).message, /is pinned recursively/)
  assert.deepEqual((await post(`/pin/update?arg=${root}&arg=${sub}`)).lines, [
    { Pins: [root.toString(), sub.toString()] },
  ])
  assert.match((await post(`/pin/update?arg=${root}&arg=${sub}`)).message, /not recursively pinned already/)
  assert.deepEqual((await post('/pin/verify')).lines, [])
  await node.details.blocks.remove(await node.resolve(`${sub}/x`))
  const [broken] = (await post('/pin/verify')).lines as [{ Cid: string; BadNodes: { Err: string }[] }]
  assert.equal(broken.Cid, sub.toString())
  assert.match(broken.BadNodes[0]?.Err ?? '', /could not find/)
  assert.deepEqual((await post(`/pin/rm?arg=${sub}&arg=${big}`)).lines, [
    { Pins: [sub.toString(), big.toString()] },
  ])
})

test('a pin keeps its name when it is pinned again, or moved', async t => {
  const rpc = await startRpc(t)
  const { node } = rpc
  const { root, sub } = await folder(rpc)
  await node.pins.add(root, { name: 'ü' })
  await node.pins.add(root)
  assert.deepEqual(
    (await Array.fromAsync(node.pins.ls())).map(({ name }) => name),
    ['ü'],
  )
  await node.pins.add(root, { name: 'other' })
  await node.pins.update(root, sub)
  assert.deepEqual(
    (await Array.fromAsync(node.pins.ls())).map(({ cid, name }) => [cid.toString(), name]),
    [[sub.toString(), 'other']],
  )
  await node.pins.add(sub, { name: '' })
  assert.deepEqual(
    (await Array.fromAsync(node.pins.ls())).map(({ name }) => name),
    [undefined],
  )
})

test('add pins here, and refuses what only the cluster can', async t => {
  const { node, post } = await startRpc(t)
  const added = await post('/add?progress=true', { files: { 'a.txt': 'hi\n' } })
  const hash = 'QmZLRFWaz9Kypt2ACNMDzA5uzACDRiCqwdkNSP1UZsu56D'
  assert.deepEqual(added.lines.at(-1), { Name: 'a.txt', Hash: hash, Size: '11' })
  assert.deepEqual(added.lines[0], { Name: 'a.txt', Bytes: 3 })
  assert.equal(await node.pins.kind(CID.parse(hash)), 'recursive')
  const wrapped = await post('/add?wrap-with-directory=true&pin=false', { files: { 'a/b': 'hi\n' } })
  assert.deepEqual(wrapped.lines, [
    { Name: 'a/b', Hash: hash, Size: '11' },
    { Name: 'a', Hash: 'QmdSjrg8yh4d3B3CrRGuKyykaYhprG44zy8Q7dqQRptdCf', Size: '58' },
    { Name: '', Hash: 'QmYcADs5NDYDQqwKb3RJffZUpWJDbPyKhUdndD8N4tkwgB', Size: '105' },
  ])
  for (const query of [
    'trickle=true',
    'only-hash=true',
    'hash=blake3',
    'chunker=rabin',
    'cid-version=2',
    'nocopy=true',
  ]) {
    assert.equal((await post(`/add?${query}`, { files: { a: 'x' } })).status, 500, query)
  }
  assert.match((await post('/add', { files: { '../../x': 'x' } })).message, /must not contain/)
})

test('the repository: stat, version, gc, verify', async t => {
  const rpc = await startRpc(t)
  const { node, post } = rpc
  const { root } = await folder(rpc)
  await node.pins.add(root)
  const loose = block('loose')
  await node.blocks.put([loose])
  const [stat] = (await post('/repo/stat')).lines as [Record<string, unknown>]
  assert.deepEqual(Object.keys(stat), ['RepoSize', 'StorageMax', 'NumObjects', 'RepoPath', 'Version'])
  assert.equal(stat['NumObjects'], 8)
  assert.equal(((await post('/repo/stat?size-only=true')).lines as [typeof stat])[0]['NumObjects'], 0)
  assert.deepEqual((await post('/repo/version')).lines, [{ Version: '1' }])
  assert.deepEqual((await post('/repo/verify')).lines.at(-1), {
    Msg: 'verify complete, all blocks validated.',
    Progress: 0,
  })
  assert.deepEqual((await post('/repo/gc')).lines, [{ Key: link(loose.cid) }])
  assert.deepEqual((await post('/repo/gc')).lines, [])
})

test('the swarm: peers, addresses, connect, ping, disconnect', async t => {
  const rpc = await startRpc(t)
  const { node, post } = rpc
  const other = await startNode(t)
  assert.deepEqual((await post('/swarm/peers')).lines, [{ Peers: null }])
  const address = other.addresses()[0] ?? ''
  assert.deepEqual((await post(`/swarm/connect?arg=${address}`)).lines, [
    { Strings: [`connect ${other.peerId} success`] },
  ])
  const [{ Peers }] = (await post('/swarm/peers?verbose=true')).lines as [
    { Peers: Record<string, unknown>[] },
  ]
  assert.deepEqual([Peers[0]?.['Peer'], Peers[0]?.['Direction']], [other.peerId, 2])
  const [{ Addrs }] = (await post('/swarm/addrs')).lines as [{ Addrs: Record<string, string[]> }]
  assert.ok(Addrs[other.peerId] && Addrs[node.peerId])
  const [id] = (await post(`/id?arg=${other.peerId}`)).lines as [{ ID: string; AgentVersion: string }]
  assert.equal(id.ID, other.peerId)
  const [self] = (await post('/id')).lines as [{ ID: string; PublicKey: string; Protocols: string[] }]
  assert.equal(self.ID, node.peerId)
  assert.ok(self.PublicKey !== '' && self.Protocols.includes('/ipfs/bitswap/1.2.0'))
  const pinged = (await post(`/ping?arg=${other.peerId}&count=1`)).lines as {
    Success: boolean
    Time: number
  }[]
  assert.deepEqual(
    pinged.map(({ Success }) => Success),
    [true, true, true],
  )
  assert.ok((pinged[1]?.Time ?? 0) > 0)
  for (let i = 0; i < 20; i++) {
    // A round trip of loopback is much shorter than a millisecond, but takes time.
    assert.ok((await node.details.swarm.ping(other.peerId, {})) > 0)
  }
  assert.deepEqual((await post(`/swarm/disconnect?arg=${address}`)).lines, [
    { Strings: [`disconnect ${other.peerId} success`] },
  ])
  assert.deepEqual((await post(`/swarm/disconnect?arg=${address}`)).lines, [
    { Strings: [`disconnect ${other.peerId} failure: conn not found`] },
  ])
  const closed = await post(`/swarm/connect?arg=/ip4/127.0.0.1/tcp/1/p2p/${other.peerId}`)
  assert.match(closed.message, new RegExp(`^connect ${other.peerId} failure: `))
  const many = Array.from({ length: 65 }, () => `arg=${address}`).join('&')
  assert.equal((await post(`/swarm/connect?${many}`)).message, 'more than 64 addresses')
  assert.deepEqual((await post(`/routing/findprovs?arg=${block('x').cid}`)).lines, [])
  const [{ Keys }] = (await post('/key/list')).lines as [{ Keys: { Name: string; Id: string }[] }]
  assert.match(Keys[0]?.Id ?? '', /^k51/)
})

test('content that another node has is fetched, unless the request is offline', async t => {
  const rpc = await startRpc(t)
  const other = await startNode(t)
  const cid = await add(other, file('a', bytes(600_000)))
  await connect(rpc.node, other)
  assert.equal((await rpc.post(`/cat?arg=${cid}&offline=true`)).status, 500)
  assert.equal((await rpc.post(`/cat?arg=${cid}`)).body.length, 600_000)
})
