import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test, type TestContext } from 'node:test'
import * as dagCbor from '@ipld/dag-cbor'
import * as dagPb from '@ipld/dag-pb'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import type { IpfsNode, PinProgress } from './types.ts'
import { add, block, bytes, connect, file, read, startNode, tempFolder } from './test-node.ts'

const MISSING = block('nobody has this').cid

async function collect(node: IpfsNode): Promise<string[]> {
  const removed = await Array.fromAsync(node.repo.gc())
  return removed.map(cid => cid.toString())
}

const isRaw = (cid: CID) => CID.createV1(0x55, cid.multihash).toString()

test('memory is given back while the node is used', async t => {
  const node = await startNode(t)
  const root = await add(node, file('a', 'alpha'))
  const [, text] = await Promise.all([node.returnMemory(), read(node.unixfs.cat(`${root}`))])
  assert.equal(`${text}`, 'alpha')
  await node.returnMemory()
  assert.equal(`${await read(node.unixfs.cat(`${root}`))}`, 'alpha')
})

test('files: add, cat with offset and length, ls, resolve', async t => {
  const node = await startNode(t)
  const big = bytes(700_000)
  const root = await add(node, file('top/big', big), file('top/sub/a ü', 'alpha'), file('top/none', ''))
  assert.deepEqual(await read(node.unixfs.cat(`/ipfs/${root}/big`)), big)
  assert.deepEqual(
    await read(node.unixfs.cat(`${root}/big`, { offset: 262_000, length: 300_000 })),
    big.subarray(262_000, 562_000),
  )
  assert.deepEqual(await read(node.unixfs.cat(`${root}/big`, { offset: 699_999 })), big.subarray(699_999))
  assert.equal((await read(node.unixfs.cat(`${root}/big`, { offset: 800_000 }))).length, 0)
  assert.equal((await read(node.unixfs.cat(`${root}/none`))).length, 0)
  assert.equal(`${await read(node.unixfs.cat(`${root}/sub/a ü`))}`, 'alpha')
  const names = (await Array.fromAsync(node.unixfs.ls(`/ipfs/${root}`))).map(({ name }) => name)
  assert.deepEqual(names, ['big', 'none', 'sub'])
  const sub = await node.resolve(`/ipfs/${root}/sub`)
  assert.equal(`${await node.resolve(`${sub}/a ü`)}`, `${await node.resolve(`/ipfs/${root}/sub/a ü/`)}`)
  assert.equal((await node.resolve(`/ipfs/${root}`)).toString(), root.toString())
})

test('paths that lead nowhere say why', async t => {
  const node = await startNode(t)
  const root = await add(node, file('top/a', 'alpha'))
  const object = block(dagCbor.encode({ a: { b: root } }), dagCbor.code)
  await node.blocks.put([object])
  assert.equal(`${await node.resolve(`/ipfs/${object.cid}/a/b`)}`, `${root}`)
  for (const [path, code] of [
    [`${root}/b`, 'IPFS_PATH_MISSING'],
    [`${root}/a/b`, 'IPFS_PATH_MISSING'],
    [`${object.cid}/x`, 'IPFS_PATH_MISSING'],
    [`/ipns/example.org`, 'IPFS_BAD_PATH'],
    [`/x/${root}`, 'IPFS_BAD_PATH'],
    ['', 'IPFS_BAD_PATH'],
    ['/ipfs/notacid/a', 'IPFS_BAD_PATH'],
  ] as const) {
    await assert.rejects(node.resolve(path), { code }, path)
  }
  await assert.rejects(read(node.unixfs.cat(`${root}`)), { code: 'IPFS_IS_DIRECTORY' })
  await assert.rejects(read(node.unixfs.cat(`${object.cid}`)), { code: 'IPFS_NOT_UNIXFS' })
  await assert.rejects(read(node.unixfs.cat(`${root}/a`, { offset: -1 })), { code: 'IPFS_BAD_OPTION' })
  await assert.rejects(Array.fromAsync(node.unixfs.ls(`${root}/a`)), { code: 'IPFS_NOT_UNIXFS' })
  await assert.rejects(node.blocks.get(MISSING, { fetch: false }), { code: 'IPFS_BLOCK_MISSING' })
})

test('a pin fetches a DAG from another node, with progress, and only what is missing', async t => {
  const [source, target] = await Promise.all([startNode(t), startNode(t)])
  const data = bytes(3_000_000)
  const root = await add(source, file('d/a', data.subarray(0, 1_000_000)), file('d/b', data))
  await connect(target, source)
  const steps: PinProgress[] = []
  await target.pins.add(root, { onProgress: progress => steps.push(progress) })
  const last = steps.at(-1)
  const { repoSize, numObjects } = await target.repo.stat()
  assert.deepEqual(last?.blocks, numObjects)
  assert.equal(last.fetchedBlocks, numObjects)
  assert.equal(BigInt(last.bytes + numObjects * 46), repoSize)
  // The blocks of a that are also in b count twice in what the root states.
  assert.ok(last.totalBytes !== undefined && last.totalBytes > last.bytes)
  assert.deepEqual(
    steps.map(({ blocks }) => blocks),
    steps.map((_, i) => i + 1),
  )
  assert.equal(await target.pins.kind(root), 'recursive')
  assert.deepEqual(await read(target.unixfs.cat(`${root}/b`)), data)

  // Now the new root and what is new below it; then, nothing.
  const update = await add(source, file('d/a', 'changed'), file('d/b', data))
  let fetched = 0
  await target.pins.update(root, update)
  const again: PinProgress[] = []
  await target.pins.add(update, { onProgress: progress => again.push(progress) })
  assert.deepEqual(again, [])
  assert.equal(await target.pins.kind(root), undefined)
  await target.pins.rm(update)
  await target.pins.add(update, { onProgress: progress => (fetched = progress.fetchedBlocks) })
  assert.equal(fetched, 0)
})

test('an aborted pin leaves no pin, and is resumed without fetching anew', async t => {
  const [source, target] = await Promise.all([startNode(t), startNode(t)])
  const root = await add(source, file('big', bytes(8_000_000)))
  await connect(target, source)
  const controller = new AbortController()
  const stopped = target.pins.add(root, {
    signal: controller.signal,
    onProgress: ({ blocks }) => void (blocks === 10 && controller.abort()),
  })
  await assert.rejects(stopped, { name: 'AbortError' })
  assert.equal(await target.pins.kind(root), undefined)
  const here = (await target.repo.stat()).numObjects
  assert.ok(here >= 10)
  let end: PinProgress | undefined
  await target.pins.add(root, { onProgress: progress => (end = progress) })
  assert.equal(end?.fetchedBlocks, end !== undefined ? end.blocks - here : -1)
})

test('kinds of pins and their rules', async t => {
  const node = await startNode(t)
  const root = await add(node, file('d/a', 'alpha'), file('d/b', 'beta'))
  const leaf = await node.resolve(`${root}/a`)
  await assert.rejects(node.pins.rm(root), { code: 'IPFS_NOT_PINNED' })
  await node.pins.add(root, { kind: 'direct' })
  assert.equal(await node.pins.kind(root), 'direct')
  await node.pins.add(root)
  assert.equal(await node.pins.kind(root), 'recursive')
  await assert.rejects(node.pins.add(root, { kind: 'direct' }), { code: 'IPFS_PINNED_RECURSIVELY' })
  await node.pins.add(leaf, { kind: 'direct' })
  const pins = await Array.fromAsync(node.pins.ls())
  assert.deepEqual(
    new Map(pins.map(({ cid, kind }) => [cid.toString(), kind])),
    new Map([
      [root.toString(), 'recursive'],
      [leaf.toString(), 'direct'],
    ]),
  )
  await assert.rejects(node.pins.update(leaf, root), { code: 'IPFS_NOT_PINNED' })
  assert.equal(await node.pins.kind(root.toV1()), undefined)
  await assert.rejects(node.pins.add(root, { maxDepth: -1 }), { code: 'IPFS_BAD_OPTION' })
})

/** root -> middle -> leaf, and root -> far -> middle. */
async function chain(node: IpfsNode) {
  const leaf = block('the leaf')
  const link = (...targets: { cid: CID }[]) =>
    block(dagCbor.encode(targets.map(({ cid }) => cid)), dagCbor.code)
  const middle = link(leaf)
  const far = link(middle)
  const root = link(far, middle)
  await node.blocks.put([leaf, middle, far, root])
  return { leaf, middle, far, root }
}

test('a depth limit counts from the root by the shortest way', async t => {
  const node = await startNode(t)
  const { leaf, middle, far, root } = await chain(node)
  await node.pins.add(root.cid, { maxDepth: 1 })
  assert.deepEqual(await collect(node), [isRaw(leaf.cid)])
  await node.blocks.put([leaf])
  await node.pins.add(root.cid, { maxDepth: 2 })
  assert.deepEqual(await collect(node), [])
  for (const { cid } of [leaf, middle, far, root]) assert.ok(await node.blocks.has(cid))
})

test('what cannot be walked is not pinned recursively', async t => {
  const node = await startNode(t)
  const odd = block('of an unknown format', 0x300000)
  const broken = block('not protobuf', dagPb.code)
  await node.blocks.put([odd, broken])
  await assert.rejects(node.pins.add(odd.cid), { code: 'IPFS_UNKNOWN_CODEC' })
  await assert.rejects(node.pins.add(broken.cid), { code: 'IPFS_BLOCK_CORRUPT' })
  await node.pins.add(odd.cid, { kind: 'direct' })
  await node.pins.add(odd.cid, { maxDepth: 0 })
  assert.deepEqual(await collect(node), [isRaw(broken.cid)])
})

test('garbage collection keeps pins, holds and what is being added; the rest goes', async t => {
  const node = await startNode(t)
  const kept = await add(node, file('k/a', bytes(600_000)), file('k/b', 'x'))
  await node.pins.add(kept)
  const direct = await add(node, file('p/a', 'direct'), file('p/b', 'not below it'))
  await node.pins.add(direct, { kind: 'direct' })
  const garbage = await add(node, file('garbage', bytes(400_000, 2)))
  const held = node.hold()
  const fresh = block('written since')
  await node.blocks.put([fresh])
  const before = await node.repo.stat()
  const removed = await collect(node)
  const below = await Promise.all(['a', 'b'].map(name => node.resolve(`${direct}/${name}`)))
  for (const cid of [garbage, ...below]) assert.ok(removed.includes(isRaw(cid)), `${cid} should have gone`)
  assert.equal(removed.length, 5)
  const after = await node.repo.stat()
  assert.equal(after.numObjects, before.numObjects - removed.length)
  assert.ok(after.repoSize < before.repoSize - 400_000n)
  assert.deepEqual(await read(node.unixfs.cat(`${kept}/a`)), bytes(600_000))
  assert.ok(await node.blocks.has(fresh.cid))
  // What was here before the hold is protected too, once it is put again.
  await node.blocks.put([fresh])
  held[Symbol.dispose]()
  assert.deepEqual(await collect(node), [isRaw(fresh.cid)])
})

test('a pinned block that was lost is fetched before anything is removed; without it nothing is', async t => {
  const path = await tempFolder(t)
  const first = await startNode(t, { path })
  const { leaf, middle, root } = await chain(first)
  const garbage = block('garbage')
  await first.blocks.put([garbage])
  await first.pins.add(root.cid)
  await first[Symbol.asyncDispose]()
  // The record of `middle` follows that of `leaf`; 46 bytes are its header.
  const segment = await open(join(path, 'segments', '00000001.seg'), 'r+')
  await segment.write('damage', 46 + leaf.data.length + 46 + 5)
  await segment.close()

  const node = await startNode(t, { path })
  await assert.rejects(node.blocks.get(middle.cid, { fetch: false }), { code: 'IPFS_BLOCK_CORRUPT' })
  const stopped = AbortSignal.timeout(100)
  await assert.rejects(Array.fromAsync(node.repo.gc({ signal: stopped })), { name: 'TimeoutError' })
  assert.ok(await node.blocks.has(garbage.cid))
  const source = await startNode(t)
  await source.blocks.put([middle])
  await connect(node, source)
  assert.deepEqual(await collect(node), [isRaw(garbage.cid)])
  assert.deepEqual(await node.blocks.get(middle.cid, { fetch: false }), middle.data)
  assert.ok(await node.blocks.has(leaf.cid))
})

test('adds and pins that run beside collections lose nothing', async t => {
  const [node, source] = await Promise.all([startNode(t), startNode(t)])
  await connect(node, source)
  const remote = await add(source, file('remote', bytes(6_000_000, 3)))
  const shared = bytes(2_000_000, 4)
  // Everything of the add is here already, as garbage: nothing is written, and all of it must stay.
  await add(node, file('shared', shared))
  const work = { busy: true }
  const collecting = (async () => {
    let rounds = 0
    while (work.busy) {
      await collect(node)
      rounds++
    }
    return rounds
  })()
  await node.pins.add(remote)
  for (let i = 0; i < 5; i++) {
    using _held = node.hold()
    const root = await add(node, file(`d/shared`, shared), file(`d/own`, bytes(300_000, 10 + i)))
    await node.pins.add(root)
  }
  work.busy = false
  assert.ok((await collecting) > 1)
  await collect(node)
  assert.deepEqual(await read(node.unixfs.cat(`${remote}`)), bytes(6_000_000, 3))
  for await (const { cid } of node.pins.ls()) {
    if (cid.equals(remote)) continue
    assert.deepEqual(await read(node.unixfs.cat(`${cid}/shared`)), shared)
    assert.equal((await read(node.unixfs.cat(`${cid}/own`))).length, 300_000)
  }
})

test('a full repository refuses, says how much, and stays usable', async t => {
  const node = await startNode(t, { storageMax: 1_000_000 })
  const small = await add(node, file('small', bytes(500_000)))
  await node.pins.add(small)
  await assert.rejects(add(node, file('big', bytes(2_000_000, 5))), (error: unknown) => {
    assert.ok(error instanceof Error && 'data' in error)
    const { code, needed, available } = error.data as { code: string; needed: number; available: number }
    assert.equal(code, 'IPFS_REPO_FULL')
    assert.ok(needed > available)
    return true
  })
  await collect(node)
  assert.ok((await node.repo.stat()).repoSize < 510_000n)
  await add(node, file('other', bytes(400_000, 6)))

  const source = await startNode(t)
  const big = await add(source, file('big', bytes(2_000_000, 7)))
  await connect(node, source)
  await assert.rejects(node.pins.add(big), { code: 'IPFS_REPO_FULL' })
  // Reading needs no room.
  assert.equal((await read(node.unixfs.cat(`${big}`))).length, 2_000_000)
})

test('a repository belongs to one process, and keeps its identity', async t => {
  const path = await tempFolder(t)
  const first = await startNode(t, { path })
  await assert.rejects(startNode(t, { path }), { code: 'IPFS_REPO_LOCKED' })
  const { peerId } = first
  assert.ok(first.addresses().every(address => address.endsWith(`/p2p/${peerId}`)))
  await first[Symbol.asyncDispose]()
  await first[Symbol.asyncDispose]()
  await assert.rejects(first.blocks.put([block('late')]), { code: 'IPFS_REPO_CLOSED' })
  const second = await startNode(t, { path })
  assert.equal(second.peerId, peerId)
})

test('stopping ends what is under way', async t => {
  const node = await startNode(t)
  const waiting = [node.blocks.get(MISSING), node.pins.add(MISSING), read(node.unixfs.cat(`${MISSING}`))]
  const outcome = Promise.all(waiting.map(call => assert.rejects(call, { code: 'IPFS_REPO_CLOSED' })))
  await node[Symbol.asyncDispose]()
  await outcome
})

test('blocks that others store later are delivered to whoever waits', async t => {
  const [node, other] = await Promise.all([startNode(t), startNode(t)])
  await connect(node, other)
  const late = block('late but sure')
  const waiting = node.blocks.get(late.cid)
  await other.blocks.put([late])
  assert.deepEqual(await waiting, late.data)
  assert.ok(await node.blocks.has(late.cid))
})

test('named providers are connected to', async t => {
  const [node, other] = await Promise.all([startNode(t), startNode(t)])
  const one = block('at the named provider')
  await other.blocks.put([one])
  assert.deepEqual(await node.blocks.get(one.cid, { providers: [...other.addresses()] }), one.data)
  assert.deepEqual(node.swarm.peers(), [other.peerId])
})

test('addresses that cannot be used are refused with a reason', async t => {
  const node = await startNode(t)
  for (const address of ['nonsense', '/ip4/127.0.0.1/tcp/1', `/ip4/127.0.0.1/tcp/1/p2p/${node.peerId}`]) {
    await assert.rejects(node.swarm.connect(address), { code: 'IPFS_DIAL_FAILED' }, address)
  }
  await assert.rejects(startNode(t, { listen: ['/ip4/127.0.0.1/udp/0/quic-v1'] }), {
    code: 'IPFS_BAD_OPTION',
  })
  await assert.rejects(startNode(t, { storageMax: 0 }), { code: 'IPFS_BAD_OPTION' })
})

test('identity CIDs carry their own block', async t => {
  const node = await startNode(t)
  const inline = CID.createV1(0x55, createDigest(0, new TextEncoder().encode('inline')))
  assert.equal(`${Buffer.from(await node.blocks.get(inline))}`, 'inline')
  const root = block(dagCbor.encode([inline]), dagCbor.code)
  await node.blocks.put([root])
  await node.pins.add(root.cid)
  assert.deepEqual(await collect(node), [])
})

const WRITER = `
  import { createIpfsNode, defaultIpfsNodeConfig } from ${JSON.stringify(import.meta.resolve('./index.ts'))}
  import { silentLogger, systemClock, systemRandom } from ${JSON.stringify(import.meta.resolve('@ipfs-cluster/base'))}
  const node = await createIpfsNode(
    { clock: systemClock, random: systemRandom, logger: silentLogger },
    { ...defaultIpfsNodeConfig, path: process.argv[1], listen: [] },
  )
  for (let i = 0; ; i++) {
    const content = (async function* () { yield Buffer.alloc(1 + (i * 7919) % 300000, String(i)) })()
    for await (const { cid } of node.unixfs.add([{ path: 'f', content }], { cidVersion: 1 })) {
      if (i % 3 === 0) await node.pins.add(cid)
      process.stdout.write(cid + ' ' + (i % 3 === 0) + '\\n')
    }
  }
`

/** CIDs acknowledged by a writer until it was killed without warning, and whether they were pinned. */
async function acknowledgedBy(t: TestContext, path: string, lines: number): Promise<[CID, boolean][]> {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', WRITER, path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  const seen: [CID, boolean][] = []
  for await (const line of createInterface({ input: child.stdout })) {
    const [cid = '', pinned] = line.split(' ')
    seen.push([CID.parse(cid), pinned === 'true'])
    if (seen.length === lines) child.kill('SIGKILL')
  }
  return seen
}

test('what was acknowledged survives kill -9', { timeout: 60_000 }, async t => {
  const path = await tempFolder(t)
  const acknowledged = await acknowledgedBy(t, path, 60)
  assert.ok(acknowledged.length >= 60)
  const node = await startNode(t, { path })
  for (const [cid, pinned] of acknowledged) {
    for await (const chunk of node.unixfs.cat(`${cid}`)) assert.ok(chunk.length > 0)
    assert.equal(await node.pins.kind(cid), pinned ? 'recursive' : undefined)
  }
})
