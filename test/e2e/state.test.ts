import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { runProcess, startProcess, waitFor } from '@ipfs-cluster/testkit'
import { CID } from 'multiformats/cid'
import { create as digestOf } from 'multiformats/hashes/digest'
import { bin, pinset, prepareCluster, statusByPeer, type TestCluster, type TestPeer } from './cluster.ts'

let cluster: TestCluster
let first: TestPeer
let second: TestPeer
/** Content that the first peer's IPFS node has. */
let kept: string
/** The export of the first peer. */
let backup: string

before(async () => {
  cluster = await prepareCluster(2)
  ;[first, second] = cluster.peers as [TestPeer, TestPeer]
  backup = join(cluster.folder, 'backup.json')
})

after(async () => {
  await cluster?.[Symbol.asyncDispose]()
})

const args = (peer: TestPeer, line: string) => ['--config', peer.folder, 'state', ...line.split(' ')]

const state = (peer: TestPeer, line: string, input?: string) =>
  runProcess(bin('ipfs-cluster-service'), args(peer, line), input === undefined ? {} : { input })

async function succeeds(peer: TestPeer, line: string, input?: string): Promise<string> {
  const { code, stdout, stderr } = await state(peer, line, input)
  assert.equal(code, 0, stderr)
  return stdout
}

/** Pins of content that nobody has, for no peer in particular. */
function lines(count: number, name: string): string {
  return Array.from({ length: count }, (_, i) => {
    const digest = new Uint8Array(32)
    new DataView(digest.buffer).setUint32(0, i)
    const cid = CID.createV1(0x55, digestOf(0x12, digest))
    return `{"cid":"${cid}","type":"pin","name":"${name} ${i}","replication_factor_min":1,"replication_factor_max":1,"max_depth":-1}\n`
  }).join('')
}

const stores = async (peer: TestPeer) =>
  (await readdir(peer.folder)).filter(name => name.startsWith('store')).toSorted()

test('a running peer keeps the state commands out', async () => {
  await first.start()
  const path = join(cluster.folder, 'file.txt')
  await writeFile(path, 'a file')
  const added = await first.ctl(['add', '-Q', path])
  assert.equal(added.code, 0, added.stderr)
  kept = added.stdout.trim()
  await waitFor(async () => (await statusByPeer(first, CID.parse(kept)))[first.id] === 'pinned')
  for (const line of [`export -f ${backup}`, 'import -f', 'cleanup -f', 'crdt info']) {
    const { code, stderr } = await state(first, line, '')
    assert.equal(code, 1)
    assert.match(stderr, /^error obtaining execution lock: .*someone else has the lock\. If no other/)
  }
  assert.equal(existsSync(backup), false)
  assert.equal((await first.stop()).code, 0)
})

test('after export and cleanup the peer knows nothing; after the import, everything', async () => {
  await succeeds(first, `export -f ${backup}`)
  assert.match(await readFile(backup, 'utf8'), new RegExp(`^{.*"cid":"${kept}".*}\n$`))
  await succeeds(first, 'cleanup', 'y\n')
  await first.start()
  assert.deepEqual(await pinset(first), [])
  assert.deepEqual(await Array.fromAsync(first.client.statusAll({ local: true })), [])
  await first.stop()

  await succeeds(first, `import ${backup}`, 'y\n')
  await succeeds(first, 'crdt mark-dirty')
  await first.start()
  assert.match(first.process.stderr, /\tcrdt\tthe CRDT is repaired; it is clean again\t\{"nodes":1,/)
  assert.deepEqual(await pinset(first), [kept])
  await waitFor(async () => (await statusByPeer(first, CID.parse(kept)))[first.id] === 'pinned')
  await first.stop()
  assert.match(await succeeds(first, 'crdt info'), /^Number of heads: 1\..* Dirty: false\n/)
})

test('an imported pinset reaches the other peers', async () => {
  await Promise.all([first.start(), second.start()])
  await waitFor(async () => (await pinset(second)).includes(kept), { timeoutMs: 30_000, what: kept })
  await Promise.all([first.stop(), second.stop()])
  assert.equal(await succeeds(second, 'export'), await succeeds(first, 'export'))
})

test('an import that is killed leaves the old pinset or the new one', async () => {
  const file = join(cluster.folder, 'many.json')
  const [old, fresh] = [lines(2_000, 'old'), lines(10_000, 'new')]
  await succeeds(second, 'import -f', old)
  const named = async () => [...(await succeeds(second, 'export')).matchAll(/"name":"(\w+) /g)]
  await writeFile(file, fresh)
  for (const begun of ['.partial', '.next', '.old']) {
    await using importing = await startProcess(bin('ipfs-cluster-service'), args(second, `import -f ${file}`))
    let ended = false
    void importing.exited.then(() => (ended = true))
    await waitFor(() => ended || existsSync(join(second.folder, `store${begun}`)), {
      intervalMs: 1,
      what: begun,
    })
    importing.kill('SIGKILL')
    await importing.exited
    const names = (await named()).map(([, name]) => name)
    const distinct = [...new Set(names)]
    assert.deepEqual([distinct.length, names.length], [1, distinct[0] === 'old' ? 2_000 : 10_000])
    assert.deepEqual(await stores(second), ['store'])
  }
})
