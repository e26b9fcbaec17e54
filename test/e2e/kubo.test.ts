import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { DEFAULT_PIN_OPTIONS } from '@ipfs-cluster/api'
import { kuboBinary, startRealKubo, waitFor, type RealKubo } from '@ipfs-cluster/testkit'
import { CID } from 'multiformats/cid'
import { pinset, startCluster, statusByPeer, type TestCluster, type TestPeer } from './cluster.ts'
import { withKubo } from './with-kubo.ts'

const skip = kuboBinary === undefined && 'KUBO_BIN does not name a Kubo binary'
const EVERYWHERE = { replicationFactorMin: -1, replicationFactorMax: -1 }

/** One peer with a real Kubo beside two with built-in nodes. */
describe('a cluster of Kubo and built-in nodes', { skip }, () => {
  let kubo: RealKubo
  let cluster: TestCluster
  /** The peer with Kubo. */
  let first: TestPeer
  let second: TestPeer
  let third: TestPeer
  /** A daemon that was started again, by us. */
  let restarted: Promise<string> | undefined

  before(async () => {
    kubo = await startRealKubo(kuboBinary as string)
    // It comes back at the same address after a restart.
    await kubo.ipfs(['config', 'Addresses.API', kubo.api])
    const { Addresses } = JSON.parse(await kubo.ipfs(['id']))
    const swarm = (Addresses as string[]).find(address => address.startsWith('/ip4/127.0.0.1/tcp/'))
    assert.ok(swarm)
    await kubo.ipfs(['config', '--json', 'Addresses.Swarm', JSON.stringify([swarm.replace(/\/p2p\/.*/, '')])])
    cluster = await startCluster(3, (config, index) => (index === 0 ? withKubo(config, kubo.api) : config))
    ;[first, second, third] = cluster.peers as [TestPeer, TestPeer, TestPeer]
    await waitFor(async () => (await kubo.ipfs(['swarm', 'peers'])).trim().split('\n').length >= 2, {
      timeoutMs: 15_000,
      intervalMs: 100,
      what: 'Kubo is connected with the built-in nodes',
    })
  })

  after(async () => {
    await cluster?.[Symbol.asyncDispose]()
    if (restarted !== undefined) {
      await kubo.ipfs(['shutdown']).catch(() => undefined)
      await restarted
    }
    await kubo?.[Symbol.asyncDispose]()
  })

  const pinnedEverywhere = (cid: CID) =>
    waitFor(
      async () => {
        const all = Object.values(await statusByPeer(third, cid))
        return all.length === 3 && all.every(status => status === 'pinned')
      },
      { timeoutMs: 20_000, intervalMs: 50, what: `${cid} is pinned by all three` },
    )

  const pinsOfKubo = async (kind: string) =>
    (await kubo.ipfs(['pin', 'ls', '-q', `--type=${kind}`])).trim().split('\n')

  /** Added by the peer to its own IPFS node alone, without a pin. */
  const addUnpinned = async (peer: TestPeer, bytes: Uint8Array) => {
    async function* content() {
      yield bytes
    }
    async function* parts() {
      yield { path: 'only.bin', kind: 'file' as const, content: content() }
    }
    const params = {
      pin: { ...DEFAULT_PIN_OPTIONS, ...EVERYWHERE },
      local: true,
      noPin: true,
      rawLeaves: true,
    }
    const [added] = await Array.fromAsync(peer.client.add({ params, parts: parts() }))
    assert.ok(added?.cid)
    return added.cid
  }

  test('a folder added with three replicas is on all of them, with the root CID of Kubo', async () => {
    const folder = join(cluster.folder, 'folder')
    await mkdir(join(folder, 'sub', 'empty'), { recursive: true })
    await writeFile(join(folder, 'large.bin'), randomBytes(2_000_000))
    await writeFile(join(folder, 'nothing'), '')
    for (let i = 0; i < 30; i++) await writeFile(join(folder, 'sub', `${i} ü.txt`), `file ${i}`)
    for (const version of ['0', '1']) {
      const expected = (await kubo.ipfs(['add', '-r', '-Q', '-n', `--cid-version=${version}`, folder])).trim()
      for (const peer of [first, second]) {
        const added = await peer.ctl([
          'add',
          '-r',
          '-Q',
          '--rmin',
          '3',
          '--rmax',
          '3',
          '--cid-version',
          version,
          folder,
        ])
        assert.equal(added.code, 0, added.stdout + added.stderr)
        assert.equal(added.stdout.trim(), expected)
      }
      const root = CID.parse(expected)
      await pinnedEverywhere(root)
      assert.ok((await pinsOfKubo('recursive')).includes(expected))
      const read = await fetch(`${third.gatewayUrl}/ipfs/${root}/sub/7%20%C3%BC.txt`)
      assert.equal(await read.text(), 'file 7')
      assert.equal(await kubo.ipfs(['cat', `${root}/sub/7 ü.txt`]), 'file 7')
    }
  })

  test('content that only Kubo has, and content that only a built-in node has, is pinned by all', async () => {
    const bytes = randomBytes(700_000)
    const ofKubo = CID.parse((await kubo.ipfs(['add', '-Q', '--pin=false'], bytes)).trim())
    await second.client.pin({ cid: ofKubo, options: EVERYWHERE })
    await pinnedEverywhere(ofKubo)
    const read = await fetch(`${second.gatewayUrl}/ipfs/${ofKubo}`)
    assert.deepEqual(new Uint8Array(await read.arrayBuffer()), new Uint8Array(bytes))

    const ofSecond = await addUnpinned(second, randomBytes(700_000))
    const pinned = await first.ctl(['pin', 'add', '--wait', '--wait-timeout', '20s', ofSecond.toString()])
    assert.equal(pinned.code, 0, pinned.stdout + pinned.stderr)
    await pinnedEverywhere(ofSecond)
    assert.ok((await pinsOfKubo('recursive')).includes(ofSecond.toString()))
  })

  test('a direct pin is direct in Kubo; an unpin and the garbage collection reach every daemon', async () => {
    const cid = await addUnpinned(third, randomBytes(600_000))
    const pinned = await second.ctl(['pin', 'add', '--mode', 'direct', cid.toString()])
    assert.equal(pinned.code, 0, pinned.stdout + pinned.stderr)
    await pinnedEverywhere(cid)
    assert.ok((await pinsOfKubo('direct')).includes(cid.toString()))

    const removed = await second.ctl(['pin', 'rm', '--wait', cid.toString()])
    assert.equal(removed.code, 0, removed.stdout + removed.stderr)
    await waitFor(async () => !(await pinsOfKubo('direct')).includes(cid.toString()), {
      intervalMs: 50,
      what: 'Kubo has unpinned it',
    })
    const before = await pinset(first)
    const collected = await third.ctl(['--enc', 'json', 'ipfs', 'gc'])
    assert.equal(collected.code, 0, collected.stdout + collected.stderr)
    const { peer_map: answers } = JSON.parse(collected.stdout) as {
      peer_map: Record<string, { error?: string; keys: { key: string; error: string }[] | null }>
    }
    for (const { id } of cluster.peers) {
      const keys = (answers[id]?.keys ?? []).map(({ key }) => CID.parse(key).toV1().toString())
      assert.equal(answers[id]?.error ?? '', '')
      // Kubo names collected blocks by their multihash, as raw CIDs.
      const asRaw = CID.createV1(0x55, cid.multihash).toString()
      assert.ok(keys.includes(cid.toV1().toString()) || keys.includes(asRaw), `${id} has removed it`)
    }
    for (const text of before) await pinnedEverywhere(CID.parse(text))
  })

  test('while Kubo is down status names the daemon and REST answers; afterwards pins catch up', async () => {
    const [kept] = (await pinset(first)).map(text => CID.parse(text)) as [CID]
    await kubo.ipfs(['shutdown'])
    const stateOfFirst = async (cid: CID) => (await second.client.status({ cid })).peerMap[first.id]
    const daemon = /127\.0\.0\.1.*\d{4,5}/
    const down = await waitFor(
      async () => {
        const state = await stateOfFirst(kept)
        return state !== undefined && state.error !== '' && state
      },
      { timeoutMs: 15_000, intervalMs: 100, what: 'the peer reports that its daemon is gone' },
    )
    assert.match(down.error, daemon)
    const id = await first.client.id()
    assert.match(id.ipfs.error, daemon)
    assert.equal(id.error, '')

    const late = await addUnpinned(second, randomBytes(300_000))
    await first.client.pin({ cid: late, options: EVERYWHERE })
    await waitFor(async () => {
      const by = await statusByPeer(second, late)
      return by[second.id] === 'pinned' && by[third.id] === 'pinned'
    })
    assert.notEqual((await statusByPeer(second, late))[first.id], 'pinned')
    assert.ok((await pinset(first)).includes(late.toString()))

    restarted = kubo.ipfs(['daemon'])
    await waitFor(async () => (await stateOfFirst(kept))?.error === '', {
      timeoutMs: 20_000,
      intervalMs: 100,
      what: 'the peer reaches its daemon again',
    })
    // It has no routing here, with which it would find its peers again.
    const { ipfs } = await second.client.id()
    const address = ipfs.addresses.find(each => each.startsWith('/ip4/127.0.0.1/'))
    await kubo.ipfs(['swarm', 'connect', address ?? ''])
    await pinnedEverywhere(late)
    assert.ok((await pinsOfKubo('recursive')).includes(late.toString()))
    for (const peer of cluster.peers) {
      const { code, stderr } = await peer.stop()
      assert.equal(code, 0)
      assert.doesNotMatch(stderr, /unhandled/i)
    }
  })
})
