/** What `kubo-rpc-client` is asked to do before an IPFS proxy, whatever daemon stands behind it. Every check makes what it needs. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { KuboRPCClient } from 'kubo-rpc-client'
import { multiaddr } from '@multiformats/multiaddr'
import * as dagJson from '@ipld/dag-json'
import { CID } from 'multiformats/cid'

export interface ProxyWorld {
  readonly client: KuboRPCClient
  /** Address with /p2p of an IPFS node that may be connected to. */
  readonly other: string
  /** Peer id of the daemon behind the proxy. */
  readonly daemonId: string
}

export interface ProxyCheck {
  readonly name: string
  readonly run: (world: ProxyWorld) => Promise<void>
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const utf8 = (value: string) => new TextEncoder().encode(value)

async function whole(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(source))
}

/** Content of its own for each check. */
const fresh = () => randomBytes(24).toString('hex')

/** A folder of two files, one of several blocks. */
async function addFolder({ client }: ProxyWorld) {
  const big = randomBytes(600_000)
  const small = fresh()
  const files = [
    { path: 'folder/sub/ü & x.txt', content: small },
    { path: 'folder/big.bin', content: big },
  ]
  const added = await Array.fromAsync(client.addAll(files))
  const root = added.find(({ path }) => path === 'folder')?.cid
  const file = added.find(({ path }) => path === 'folder/big.bin')?.cid
  const sub = added.find(({ path }) => path === 'folder/sub')?.cid
  assert.ok(root && file && sub)
  return { root, file, sub, big, small, added }
}

async function isListed({ client }: ProxyWorld, cid: CID): Promise<boolean> {
  const pins = await Array.fromAsync(client.pin.ls())
  return pins.some(pin => pin.cid.equals(cid))
}

export const PROXY_CHECKS: readonly ProxyCheck[] = [
  {
    name: 'version',
    async run({ client }) {
      const { version, repo } = await client.version()
      assert.match(String(version), /^\d+\.\d+\.\d+/)
      assert.ok(repo)
    },
  },
  {
    name: 'id',
    async run({ client, daemonId }) {
      const { id, agentVersion, publicKey, addresses, protocols } = await client.id()
      assert.equal(id.toString(), daemonId)
      assert.ok(agentVersion !== '' && publicKey !== '' && addresses.length > 0)
      assert.ok(protocols.includes('/ipfs/id/1.0.0'))
    },
  },
  {
    name: 'add, cat',
    async run({ client }) {
      const content = randomBytes(1_000_000)
      const { cid, size } = await client.add(content)
      assert.ok(size > content.length)
      assert.deepEqual(await whole(client.cat(cid)), content)
      assert.deepEqual(
        await whole(client.cat(`/ipfs/${cid}`, { offset: 262_140, length: 10 })),
        content.subarray(262_140, 262_150),
      )
      assert.equal((await whole(client.cat(cid, { offset: content.length }))).length, 0)
      const one = await client.add('hello\n', { cidVersion: 1, rawLeaves: true })
      assert.equal(one.cid.toString(), 'bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am')
    },
  },
  {
    name: 'addAll (folder, wrapped, empty file)',
    async run(world) {
      const { added, root } = await addFolder(world)
      assert.deepEqual(added.map(({ path }) => path).sort(), [
        'folder',
        'folder/big.bin',
        'folder/sub',
        'folder/sub/ü & x.txt',
      ])
      assert.ok(await isListed(world, root))
      const wrapped = await Array.fromAsync(
        world.client.addAll([{ path: 'a', content: '' }], { wrapWithDirectory: true }),
      )
      assert.deepEqual(
        wrapped.map(({ path, cid }) => [path, cid.toString()]),
        [
          ['a', 'QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH'],
          ['', 'QmfWhpntSpGtA4ZfQYRHafKSK5e4DE2DN2yV6s6LNzvDT8'],
        ],
      )
    },
  },
  {
    name: 'cat of a path, a missing name, a folder',
    async run(world) {
      const { root, small } = await addFolder(world)
      assert.equal(text(await whole(world.client.cat(`${root}/sub/ü & x.txt`))), small)
      await assert.rejects(whole(world.client.cat(`${root}/none`)), /no link named "none" under Qm/)
      await assert.rejects(whole(world.client.cat(root)), /this dag node is a directory/)
      await assert.rejects(whole(world.client.cat('nonsense')), /invalid path "nonsense"/)
    },
  },
  {
    name: 'get (tar, gzip)',
    async run(world) {
      const { root, big, small } = await addFolder(world)
      const tar = await whole(world.client.get(root))
      assert.ok(tar.includes(big) && tar.includes(small) && tar.includes(`${root}/big.bin`))
      const gzip = await whole(world.client.get(`${root}/big.bin`, { compress: true, compressionLevel: 3 }))
      assert.deepEqual([...gzip.subarray(0, 2)], [0x1f, 0x8b])
    },
  },
  {
    name: 'ls',
    async run(world) {
      const { root, file } = await addFolder(world)
      const entries = await Array.fromAsync(world.client.ls(root))
      assert.deepEqual(
        entries.map(({ name, type, size }) => ({ name, type, size })),
        [
          { name: 'big.bin', type: 'file', size: 600_000 },
          { name: 'sub', type: 'dir', size: 0 },
        ],
      )
      assert.ok(entries[0]?.cid.equals(file))
    },
  },
  {
    name: 'files.stat of /ipfs paths',
    async run({ client, ...world }) {
      const { root, file } = await addFolder({ client, ...world })
      const stat = await client.files.stat(`/ipfs/${root}/big.bin`)
      assert.ok(stat.cid.equals(file))
      assert.deepEqual(
        { size: stat.size, blocks: stat.blocks, type: stat.type, cumulativeSize: stat.cumulativeSize },
        { size: 600_000, blocks: 3, type: 'file', cumulativeSize: 600_194 },
      )
      assert.equal((await client.files.stat(`/ipfs/${root}`)).type, 'directory')
    },
  },
  {
    name: 'pin.add, pin.ls, pin.rm',
    async run(world) {
      const { client } = world
      const { cid } = await client.add(fresh(), { pin: false })
      assert.equal(await isListed(world, cid), false)
      assert.ok((await client.pin.add(cid)).equals(cid))
      const [pin] = await Array.fromAsync(client.pin.ls({ paths: cid }))
      assert.ok(pin?.cid.equals(cid))
      assert.equal(pin?.type, 'recursive')
      assert.ok((await client.pin.rm(cid)).equals(cid))
      assert.equal(await isListed(world, cid), false)
      await assert.rejects(client.pin.rm(cid), /pin is not part of the pinset/)
    },
  },
  {
    name: 'pin.addAll, pin.rmAll',
    async run(world) {
      const { client } = world
      const cids = await Promise.all(
        [1, 2, 3].map(async () => (await client.add(fresh(), { pin: false })).cid),
      )
      const texts = (list: readonly CID[]) => list.map(String)
      assert.deepEqual(texts(await Array.fromAsync(client.pin.addAll(cids))), texts(cids))
      for (const cid of cids) assert.ok(await isListed(world, cid))
      assert.deepEqual(
        texts(await Array.fromAsync(client.pin.rmAll(cids.map(cid => ({ path: cid.toString() }))))),
        texts(cids),
      )
    },
  },
  {
    name: 'pin.update',
    async run(world) {
      const { client } = world
      const [from, to] = await Promise.all([1, 2].map(() => client.add(fresh(), { pin: false })))
      assert.ok(from && to)
      await client.pin.add(from.cid)
      const pins = await client.pin.update(from.cid, to.cid)
      assert.deepEqual(pins.map(String), [from.cid.toString(), to.cid.toString()])
      assert.deepEqual([await isListed(world, from.cid), await isListed(world, to.cid)], [false, true])
    },
  },
  {
    name: 'block.put, stat, get, rm',
    async run({ client }) {
      const data = utf8(fresh())
      const cid = await client.block.put(data)
      assert.equal(cid.code, 0x55)
      const stat = await client.block.stat(cid)
      assert.deepEqual([stat.cid.toString(), stat.size], [cid.toString(), data.length])
      assert.deepEqual(new Uint8Array(await client.block.get(cid)), data)
      const removed = await Array.fromAsync(client.block.rm(cid))
      assert.deepEqual(
        removed.map(({ cid: each, error }) => [each.toString(), error ?? null]),
        [[cid.toString(), null]],
      )
      const again = await Array.fromAsync(client.block.rm(cid))
      assert.match(String(again[0]?.error), /could not find|not found/)
      await assert.rejects(client.block.stat(cid, { offline: true } as never), /could not find/)
      const other = await client.block.put(data, { format: 'dag-cbor', mhtype: 'sha2-512' } as never)
      assert.equal(other.multihash.code, 0x13)
    },
  },
  {
    name: 'block.put with a pin; a pinned block stays',
    async run(world) {
      const cid = await world.client.block.put(utf8(fresh()), { pin: true })
      assert.ok(await isListed(world, cid))
      const start = Date.now()
      while (true) {
        const [removed] = await Array.fromAsync(world.client.block.rm(cid))
        // The daemon pins a moment after the cluster does; with Kubo it has pinned already.
        if (/pinned: recursive/.test(String(removed?.error))) break
        assert.ok(Date.now() - start < 10_000, String(removed?.error))
        await world.client.block.put(utf8(fresh()))
      }
    },
  },
  {
    name: 'dag.put, get, resolve, stat',
    async run({ client, ...world }) {
      const { root, file } = await addFolder({ client, ...world })
      const value = { a: 1, list: [1.5, 'x', { link: root }], bytes: utf8('hi'), none: null }
      const cid = await client.dag.put(value)
      assert.deepEqual(
        JSON.parse(text(dagJson.encode((await client.dag.get(cid)).value))),
        JSON.parse(text(dagJson.encode(value))),
      )
      assert.equal((await client.dag.get(cid, { path: 'list/0' })).value, 1.5)
      const resolved = await client.dag.resolve(cid, { path: 'list/2/link/big.bin' })
      assert.ok(resolved.cid.equals(file))
      assert.equal(resolved.remainderPath, '')
      const within = await client.dag.resolve(`${cid}/list/0`)
      assert.deepEqual([within.cid.toString(), within.remainderPath], [cid.toString(), '/list/0'])
      await assert.rejects(client.dag.resolve(`${cid}/x`), /no link named "x" under bafy|key not found: "x"/)
      const pinned = await client.dag.put({ fresh: fresh() }, { pin: true })
      assert.ok(await isListed({ client, ...world }, pinned))
    },
  },
  {
    name: 'dag.export, dag.import',
    async run(world) {
      const { client } = world
      const { root } = await addFolder(world)
      const car = await whole(client.dag.export(root))
      const imported = await Array.fromAsync(client.dag.import([car]))
      assert.deepEqual(
        imported.map(({ root: each }) => [each.cid.toString(), each.pinErrorMsg ?? '']),
        [[root.toString(), '']],
      )
      await assert.rejects(
        Array.fromAsync(client.dag.import([car.subarray(0, 1000)])),
        /import failed after block "\w+": unexpected EOF/,
      )
      const changed = Buffer.from(car)
      changed[changed.length - 1] = (changed.at(-1) as number) ^ 1
      await assert.rejects(Array.fromAsync(client.dag.import([changed])), /import failed|mismatch|corrupt/)
    },
  },
  {
    name: 'refs, resolve',
    async run(world) {
      const { client } = world
      const { root, file, sub } = await addFolder(world)
      const direct = await Array.fromAsync(client.refs(root))
      assert.deepEqual(
        direct.map(({ ref }) => ref),
        [file.toString(), sub.toString()],
      )
      const all = await Array.fromAsync(
        client.refs(root, { recursive: true, unique: true, format: '<linkname>' }),
      )
      assert.deepEqual(
        all.map(({ ref }) => ref).filter(ref => ref !== ''),
        ['big.bin', 'sub', 'ü & x.txt'],
      )
      assert.equal(all.length, 6)
      assert.equal(await client.resolve(`/ipfs/${root}/big.bin`), `/ipfs/${file}`)
      const local = await Array.fromAsync(client.refs.local())
      assert.ok(
        local.some(({ ref }) => CID.parse(ref).multihash.bytes.toHex() === root.multihash.bytes.toHex()),
      )
    },
  },
  {
    name: 'repo.stat, repo.version',
    async run({ client }) {
      const stat = await client.repo.stat()
      assert.ok(stat.repoSize > 0n && stat.storageMax > stat.repoSize && stat.numObjects > 0n)
      assert.ok(stat.repoPath !== '' && stat.version !== '')
      assert.match(String(await client.repo.version()), /^\d+$/)
    },
  },
  {
    name: 'repo.gc',
    async run({ client }) {
      const garbage = await client.block.put(utf8(fresh()))
      const kept = await client.add(fresh())
      const removed = new Set<string | undefined>()
      const start = Date.now()
      // What was written while an add waits for its pin is kept until then.
      while (!removed.has(garbage.multihash.bytes.toHex())) {
        assert.ok(Date.now() - start < 10_000, 'the garbage is still there')
        for await (const { cid } of client.repo.gc()) removed.add(cid?.multihash.bytes.toHex())
      }
      assert.ok(!removed.has(kept.cid.multihash.bytes.toHex()))
      assert.ok((await whole(client.cat(kept.cid))).length > 0)
    },
  },
  {
    name: 'swarm.connect, peers, addrs, localAddrs, disconnect',
    async run({ client, other }) {
      const address = multiaddr(other)
      await client.swarm.connect(address)
      const id = address.getComponents().at(-1)?.value
      const peers = await client.swarm.peers({ direction: true, latency: true, streams: true } as never)
      const peer = peers.find(each => each.peer.toString() === id)
      assert.equal(peer?.direction, 'outbound')
      assert.match(peer.addr.toString(), /^\/ip4\/127\.0\.0\.1\/tcp\/\d+$/)
      const addrs = await client.swarm.addrs()
      assert.ok(addrs.some(each => each.id.toString() === id && each.addrs.length > 0))
      assert.ok((await client.swarm.localAddrs()).length > 0)
      const described = await client.id({ peerId: peer.peer })
      assert.equal(described.id.toString(), id)
      await client.swarm.disconnect(address)
      await assert.rejects(client.swarm.connect(multiaddr(`/ip4/127.0.0.1/tcp/1/p2p/${described.id}X`)))
    },
  },
  {
    name: 'a time-out',
    async run({ client }) {
      const nowhere = 'QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nf'
      await assert.rejects(
        whole(client.cat(nowhere, { timeout: 300 })),
        /context deadline exceeded|timed out|Timeout/i,
      )
    },
  },
]
