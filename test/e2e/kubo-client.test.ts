/** Kubo's clients, `kubo-rpc-client` and the command `ipfs --api`, against the IPFS proxy of a peer of one process. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { kuboBinary, runProcess } from '@ipfs-cluster/testkit'
import { PROXY_CHECKS } from '../interop/kubo-client-checks.ts'
import { skipReason, startWorld, type Daemon, type RunningWorld } from '../interop/kubo-client-worlds.ts'

for (const daemon of ['kubo', 'built-in'] as const satisfies readonly Daemon[]) {
  describe(`kubo-rpc-client, the proxy before ${daemon}`, { skip: skipReason(daemon) }, () => {
    let world: RunningWorld
    before(async () => {
      world = await startWorld(daemon)
    })
    after(() => world?.[Symbol.asyncDispose]())
    for (const { name, run } of PROXY_CHECKS) test(name, () => run(world))
  })
}

/** The same command lines before both. */
for (const daemon of ['kubo', 'built-in'] as const satisfies readonly Daemon[]) {
  const skip = kuboBinary === undefined && 'KUBO_BIN does not name a Kubo binary'
  describe(`ipfs --api, the proxy before ${daemon}`, { skip }, () => {
    let world: RunningWorld
    before(async () => {
      world = await startWorld(daemon)
    })
    after(() => world?.[Symbol.asyncDispose]())

    const run = async (args: readonly string[], input?: string | Uint8Array) => {
      const api = `/ip4/127.0.0.1/tcp/${new URL(world.proxyUrl).port}`
      // A repository that is not there: everything goes through the proxy.
      const env = { IPFS_PATH: join(world.folder, 'none') }
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

    test('add, cat, get, ls, refs', async () => {
      const files = join(world.folder, 'files')
      await mkdir(join(files, 'sub'), { recursive: true })
      const large = randomBytes(3_000_000)
      await writeFile(join(files, 'large.bin'), large)
      await writeFile(join(files, 'sub', 'ü & x.txt'), 'hello')
      const root = await ipfs(['add', '-r', '-Q', files])
      assert.equal(await ipfs(['cat', `${root}/sub/ü & x.txt`]), 'hello')
      assert.equal(await ipfs(['cat', '-o', '1', '-l', '3', `/ipfs/${root}/sub/ü & x.txt`]), 'ell')
      const got = join(world.folder, 'got')
      await ipfs(['get', '-o', got, root])
      assert.deepEqual(await readFile(join(got, 'large.bin')), large)
      assert.equal(await readFile(join(got, 'sub', 'ü & x.txt'), 'utf8'), 'hello')
      await ipfs(['get', '-o', `${got}.gz`, '-C', `${root}/sub/ü & x.txt`])
      assert.deepEqual([...(await readFile(`${got}.gz`)).subarray(0, 2)], [0x1f, 0x8b])
      assert.match(await ipfs(['ls', root]), /^\w+ 3000000 large\.bin\n\w+ -\s+sub\/$/)
      assert.equal((await ipfs(['refs', '-r', '-u', root])).split('\n').length, 15)
      const refused = await run(['cat', root])
      assert.match(refused.stderr, /^Error: this dag node is a directory/)
    })

    test('pin add, ls, rm', async () => {
      const cid = await ipfs(['add', '-Q', '--pin=false'], 'to be pinned')
      assert.equal(await ipfs(['pin', 'add', cid]), `pinned ${cid} recursively`)
      assert.match(await ipfs(['pin', 'ls']), new RegExp(`${cid} recursive`))
      assert.equal(await ipfs(['pin', 'ls', '-q', cid]), cid)
      assert.equal(await ipfs(['pin', 'rm', cid]), `unpinned ${cid}`)
    })

    test('block put, stat, get, rm', async () => {
      const cid = await ipfs(['block', 'put'], 'a block')
      assert.equal(cid, 'bafkreieszcozqu5c6vyw2krdmm7ina227ks5iijvqdn64cce6u3wpuutza')
      assert.equal(await ipfs(['block', 'stat', cid]), `Key: ${cid}\nSize: 7`)
      assert.equal(await ipfs(['block', 'get', cid]), 'a block')
      assert.equal(await ipfs(['block', 'rm', cid]), `removed ${cid}`)
    })

    test('dag put, get, export, import, stat', async () => {
      const value = '{"a":1,"b":{"/":{"bytes":"aGk"}}}'
      const node = await ipfs(['dag', 'put', '--pin'], value)
      assert.equal(await ipfs(['dag', 'get', node]), value)
      assert.equal(await ipfs(['dag', 'resolve', `${node}/a`]), `${node}/a`)
      const root = await ipfs(['add', '-Q'], randomBytes(600_000))
      const api = `${world.proxyUrl}/api/v0/dag/export?arg=${root}`
      const car = Buffer.from(await (await fetch(api, { method: 'POST' })).arrayBuffer())
      const file = join(world.folder, 'root.car')
      await writeFile(file, car)
      assert.match(await ipfs(['dag', 'import', file]), new RegExp(`Pinned root\\s+${root}\\s+success`))
      const { stdout: exported } = await run(['dag', 'export', '--progress=false', root])
      assert.ok(exported.length > 0)
      assert.match(await ipfs(['dag', 'stat', '--progress=false', root]), /Total Size: 600194/)
    })

    test('repo stat, id, version, swarm peers', async () => {
      const stat = JSON.parse(await ipfs(['repo', 'stat', '--enc=json']))
      assert.ok(stat.RepoSize > 0 && stat.NumObjects > 0)
      assert.equal(await ipfs(['id', '-f', '<id>']), world.daemonId)
      assert.match(await ipfs(['version']), /^ipfs version \d/)
      await ipfs(['swarm', 'connect', world.other])
      assert.match(await ipfs(['swarm', 'peers']), /^\/ip4\/127\.0\.0\.1\/tcp\/\d+\/p2p\/12D3/)
      assert.equal((await run(['swarm', 'connect', 'nonsense'])).code, 1)
      assert.match((await run(['object', 'get'])).stderr, /removed, use 'ipfs dag' or 'ipfs files' instead/)
    })
  })
}
