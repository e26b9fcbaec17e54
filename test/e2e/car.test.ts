import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { kuboBinary, startRealKubo, waitFor, type RealKubo } from '@ipfs-cluster/testkit'
import type { CID } from 'multiformats/cid'
import { pinset, startCluster, statusByPeer, type TestCluster, type TestPeer } from './cluster.ts'
import { withKubo } from './with-kubo.ts'

const skip = kuboBinary === undefined && 'KUBO_BIN does not name a Kubo binary'

async function exportedByKubo({ api }: RealKubo, cid: string): Promise<Buffer> {
  const port = /\/tcp\/(\d+)/.exec(api)?.[1]
  const response = await fetch(`http://127.0.0.1:${port}/api/v0/dag/export?arg=${cid}`, { method: 'POST' })
  return Buffer.from(await response.arrayBuffer())
}

/** One peer with a real Kubo beside two with built-in nodes, which know nothing of each other's blocks. */
describe('CARs between peers, Kubo and the built-in node', { skip }, () => {
  let kubo: RealKubo
  /** Not a part of the cluster. */
  let outside: RealKubo
  let cluster: TestCluster
  let withDaemon: TestPeer
  let second: TestPeer
  let third: TestPeer
  let files: string

  before(async () => {
    ;[kubo, outside] = await Promise.all([
      startRealKubo(kuboBinary as string),
      startRealKubo(kuboBinary as string),
    ])
    cluster = await startCluster(3, (config, index) => (index === 0 ? withKubo(config, kubo.api) : config))
    ;[withDaemon, second, third] = cluster.peers as [TestPeer, TestPeer, TestPeer]
    files = join(cluster.folder, 'files')
    await mkdir(join(files, 'sub'), { recursive: true })
    await writeFile(join(files, 'large'), randomBytes(3_000_000))
    await writeFile(join(files, 'zeros'), new Uint8Array(2_000_000))
    await writeFile(join(files, 'empty'), '')
    for (let i = 0; i < 50; i++) await writeFile(join(files, 'sub', `${i}`), `${i % 30}`)
  })

  after(async () => {
    await cluster?.[Symbol.asyncDispose]()
    await outside?.[Symbol.asyncDispose]()
    await kubo?.[Symbol.asyncDispose]()
  })

  const added = async (peer: TestPeer, on: TestPeer, ...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await peer.ctl([
      'add',
      '-Q',
      '--rmin',
      '1',
      '--rmax',
      '1',
      '--allocations',
      on.id,
      ...args,
    ])
    assert.equal(code, 0, stderr + stdout)
    return stdout.trim()
  }
  const exported = async (peer: TestPeer, cid: string, name: string): Promise<Buffer> => {
    const path = join(cluster.folder, name)
    const { code, stdout, stderr } = await peer.ctl(['export', '-o', path, cid])
    assert.equal(code, 0, stderr + stdout)
    return await readFile(path)
  }
  const known = (peer: TestPeer, cid: string) =>
    waitFor(async () => (await pinset(peer)).includes(cid), {
      timeoutMs: 10_000,
      intervalMs: 50,
      what: `${peer.name} knows the pin`,
    })
  const pinnedBy = (peer: TestPeer, cid: CID) =>
    waitFor(async () => (await statusByPeer(peer, cid))[peer.id] === 'pinned', {
      timeoutMs: 20_000,
      intervalMs: 50,
      what: `${cid} is pinned by ${peer.name}`,
    })

  test('any peer exports what another keeps, byte for byte as Kubo would, and everybody imports it', async () => {
    const cid = await added(third, third, '-r', '--cid-version', '1', files)
    await Promise.all([withDaemon, second].map(peer => known(peer, cid)))
    const car = await exported(third, cid, 'third.car')
    assert.ok((await exported(second, cid, 'second.car')).equals(car))
    assert.ok((await exported(withDaemon, cid, 'first.car')).equals(car))
    // A Kubo that has never heard of it takes the whole DAG, and exports the same bytes.
    const path = join(cluster.folder, 'third.car')
    assert.match(await outside.ipfs(['dag', 'import', path]), new RegExp(`Pinned root\\t${cid}\\tsuccess`))
    assert.ok((await exportedByKubo(outside, cid)).equals(car))
    // Through Kubo and through the built-in node it is the same pin again.
    for (const on of [withDaemon, second]) {
      await third.ctl(['pin', 'rm', '--ns', cid])
      const again = await added(second, on, '--format', 'car', '--require-complete', path)
      assert.equal(again, cid)
      await known(third, cid)
      assert.ok((await exported(third, cid, 'again.car')).equals(car))
    }
  })

  test('what Kubo exports is imported whole, and what is not whole is told', async () => {
    const root = (await outside.ipfs(['add', '-Q', '-r', '--pin=false', files])).trim()
    const path = join(cluster.folder, 'from-kubo.car')
    await writeFile(path, await exportedByKubo(outside, root))
    assert.equal(await added(withDaemon, withDaemon, '--format', 'car', '--require-complete', path), root)
    const { cid } =
      (await Array.fromAsync(withDaemon.client.allocations())).find(pin => `${pin.cid}` === root) ?? {}
    assert.ok(cid)
    await pinnedBy(withDaemon, cid)
    await withDaemon.ctl(['pin', 'rm', '--ns', root])
    // The last block is left out: refused where it must be whole.
    const whole = await readFile(path)
    const cut = join(cluster.folder, 'cut.car')
    await writeFile(cut, whole.subarray(0, whole.length - 1000))
    const broken = await second.ctl(['add', '--format', 'car', cut])
    assert.match(broken.stdout, /unexpected EOF/)
    assert.ok(!(await pinset(second)).includes(root))
  })

  test('a direct pin is exported as the one block that it keeps', async () => {
    const root = await added(second, second, '-r', files)
    await second.ctl(['pin', 'rm', '--ns', root])
    const { code } = await second.ctl([
      'pin',
      'add',
      '--ns',
      '--mode',
      'direct',
      '--rmin',
      '1',
      '--rmax',
      '1',
      '--allocations',
      second.id,
      root,
    ])
    assert.equal(code, 0)
    await known(third, root)
    assert.ok((await exported(third, root, 'direct.car')).length < 1000)
  })

  test('what is not pinned is not exported', async () => {
    const url = `${second.restUrl}/allocations/bafkqaaa/car`
    assert.equal((await fetch(url)).status, 404)
    assert.equal((await fetch(url, { method: 'HEAD' })).status, 404)
  })
})
