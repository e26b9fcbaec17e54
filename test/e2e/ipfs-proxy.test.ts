/** Kubo's own command line against the IPFS proxy of a peer with a real Kubo. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { systemRandom } from '@ipfs-cluster/base'
import {
  createClusterPeer,
  createIdentity,
  initialConfig,
  toPeerConfig,
  type ClusterPeer,
} from '@ipfs-cluster/peer'
import { kuboBinary, runProcess, startRealKubo, waitFor, type RealKubo } from '@ipfs-cluster/testkit'
import { CID } from 'multiformats/cid'

const skip = kuboBinary === undefined && 'KUBO_BIN does not name a Kubo binary'
const ANY_PORT = ['/ip4/127.0.0.1/tcp/0']
const EMPTY_FOLDER = 'QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn'

describe('ipfs --api <the proxy>', { skip }, () => {
  const stack = new AsyncDisposableStack()
  let folder: string
  let kubo: RealKubo
  let peer: ClusterPeer

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'proxy-'))
    stack.defer(() => rm(folder, { recursive: true, force: true }))
    kubo = stack.use(await startRealKubo(kuboBinary as string))
    const service = initialConfig({
      consensus: 'crdt',
      datastore: 'pebble',
      ipfs: 'ipfshttp',
      peername: 'here',
      secret: systemRandom.bytes(32),
    })
    const { ipfsproxy, restapi, ipfs, ...config } = toPeerConfig(service, join(folder, 'peer'))
    assert.ok(ipfsproxy && restapi && ipfs.kind === 'ipfshttp')
    await mkdir(join(folder, 'peer'))
    peer = stack.use(
      await createClusterPeer({
        ...config,
        identity: await createIdentity(),
        network: { ...config.network, listen: ANY_PORT, mdns: false },
        ipfs: { kind: 'ipfshttp', config: { ...ipfs.config, nodeMultiaddress: kubo.api } },
        restapi: { ...restapi, listen: ANY_PORT },
        pinsvcapi: undefined,
        ipfsproxy: { ...ipfsproxy, listen: ANY_PORT, nodeMultiaddress: kubo.api },
      }),
    )
    await peer.cluster.ready
  })

  after(() => stack.disposeAsync())

  const run = async (args: readonly string[], input?: string | Uint8Array) => {
    const api = `/ip4/127.0.0.1/tcp/${new URL(peer.proxyUrls[0] as string).port}`
    // A repository that is not there: everything goes through the proxy.
    const env = { IPFS_PATH: join(folder, 'none') }
    return await runProcess(kuboBinary as string, ['--api', api, ...args], {
      env,
      ...(input !== undefined && { input }),
    })
  }
  const ipfs = async (args: readonly string[], input?: string | Uint8Array) => {
    const { code, stdout, stderr } = await run(args, input)
    assert.equal(code, 0, `${args.join(' ')}: ${stderr}`)
    return stdout.trim()
  }
  const isPinned = async (cid: string) => {
    const { peerMap } = await peer.cluster.status(CID.parse(cid))
    const status = Object.values(peerMap)[0]
    return status !== undefined && status.error === '' && (await kubo.ipfs(['pin', 'ls', '-q'])).includes(cid)
  }
  const pinset = async () => (await Array.fromAsync(peer.cluster.pins(30))).map(pin => pin.cid.toString())

  test('pin add, ls, update and rm are about the cluster’s pins', async () => {
    const other = await ipfs(['add', '-Q', '--pin=false'], 'other')
    const mine = await ipfs(['add', '-Q', '--pin=false'], 'mine')
    assert.equal(await ipfs(['pin', 'add', mine]), `pinned ${mine} recursively`)
    assert.equal(await ipfs(['pin', 'add', '--progress', `/ipfs/${mine}`]), `pinned ${mine} recursively`)
    await waitFor(() => isPinned(mine), { timeoutMs: 20_000 })
    assert.equal(await ipfs(['pin', 'ls']), `${mine} recursive`)
    assert.equal(await ipfs(['pin', 'ls', '--stream']), `${mine} recursive`)
    assert.equal(await ipfs(['pin', 'ls', '-q', mine]), mine)
    assert.match(await ipfs(['pin', 'update', mine, other]), new RegExp(`^updated ${mine} to ${other}`))
    assert.deepEqual(await pinset(), [other])
    assert.equal(await ipfs(['pin', 'rm', other]), `unpinned ${other}`)
    assert.deepEqual(await pinset(), [])
    const again = await run(['pin', 'rm', other])
    assert.deepEqual([again.code, again.stderr.trim()], [1, 'Error: pin is not part of the pinset'])
    const missing = await run(['pin', 'ls', other])
    assert.deepEqual(
      [missing.code, missing.stderr.trim()],
      [1, `Error: Error: path '${other}' is not pinned`],
    )
    assert.equal((await run(['pin', 'add', 'nonsense'])).code, 1)
  })

  test('add, cat, ls and get', async () => {
    const files = join(folder, 'files')
    await mkdir(join(files, 'sub'), { recursive: true })
    const large = randomBytes(5_000_000)
    await writeFile(join(files, 'large.bin'), large)
    await writeFile(join(files, 'sub', 'ü & x.txt'), 'hello')
    const expected = await kubo.ipfs(['add', '-r', '-n', files])
    const added = await ipfs(['add', '-r', files])
    assert.equal(added, expected.trim())
    const root = await kubo.ipfs(['add', '-r', '-Q', '-n', files])
    assert.deepEqual(await pinset(), [root.trim()])
    const single = await ipfs(['add', '-Q', '--cid-version=1', '--trickle', join(files, 'large.bin')])
    const asKubo = await kubo.ipfs([
      'add',
      '-Q',
      '-n',
      '--cid-version=1',
      '--trickle',
      join(files, 'large.bin'),
    ])
    assert.equal(single, asKubo.trim())
    assert.equal(await ipfs(['cat', `${root.trim()}/sub/ü & x.txt`]), 'hello')
    assert.match(await ipfs(['ls', root.trim()]), /large\.bin/)
    const got = join(folder, 'got')
    await ipfs(['get', '-o', got, `${root.trim()}/large.bin`])
    const same = await runProcess('cmp', [got, join(files, 'large.bin')])
    assert.equal(same.code, 0, same.stdout)
    const refused = await run(['add', '-n', '-Q', join(files, 'large.bin')])
    assert.equal(refused.code, 1)
    assert.match(refused.stderr, /only-hash is not supported when adding to cluster/)
  })

  test('block put and dag put with a pin', async () => {
    const block = await ipfs(['block', 'put', '--pin'], 'a block')
    assert.ok((await pinset()).includes(block))
    assert.equal(await ipfs(['block', 'get', block]), 'a block')
    const node = await ipfs(['dag', 'put', '--pin'], '{"a":1}')
    assert.ok((await pinset()).includes(node))
    await waitFor(() => isPinned(node), { timeoutMs: 20_000 })
    assert.equal(await ipfs(['dag', 'get', node]), '{"a":1}')
    const loose = await ipfs(['block', 'put'], 'not pinned')
    assert.ok(!(await pinset()).includes(loose))
    const removed = await ipfs(['repo', 'gc'])
    assert.match(removed, new RegExp(`removed ${loose}`))
    assert.doesNotMatch(removed, new RegExp(`removed ${node}`))
  })

  test('repo stat; and what the daemon answers', async () => {
    const { RepoSize, StorageMax } = JSON.parse(await ipfs(['repo', 'stat', '--enc=json']))
    const own = JSON.parse(await kubo.ipfs(['repo', 'stat', '--enc=json']))
    assert.deepEqual([StorageMax, typeof RepoSize], [own.StorageMax, 'number'])
    assert.equal(await ipfs(['swarm', 'peers']), '')
    assert.equal(await ipfs(['id', '-f', '<id>']), (await kubo.ipfs(['id', '-f', '<id>'])).trim())
    await ipfs(['files', 'cp', `/ipfs/${EMPTY_FOLDER}`, '/there'])
    assert.equal(await kubo.ipfs(['files', 'ls', '/']), 'there\n')
    const refused = await run(['cat', EMPTY_FOLDER])
    assert.match(refused.stderr, /this dag node is a directory/)
  })
})
