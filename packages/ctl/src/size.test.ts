import { newPin, type PinInfoShort } from '@ipfs-cluster/api'
import { serveRoutes } from '@ipfs-cluster/api/test-server'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { A, handlers, statusOf, V0 } from './test-peer.ts'
import { ctl, hostOf } from './test-run.ts'

const gone = { name: '', allocations: [], origins: [], created: null, metadata: null }

test('status tells sizes and progress behind what Go tells, where a peer does', async () => {
  const lineOf = async (more: Partial<PinInfoShort>) => {
    const short = Object.values(statusOf(V0).peerMap)[0]
    assert.ok(short)
    const info = { ...gone, cid: V0, peerMap: { [A]: { ...short, ...more } } }
    await using server = await serveRoutes({ ...handlers, status: () => info })
    const { stdout } = await ctl(['--host', hostOf(server.url), 'status', V0.toString()])
    return stdout.split('\n')[1]?.replace(/^.* \| Priority: false/, '')
  }
  const running = (bytes: bigint, totalBytes?: bigint, bytesPerSecond = 12_000_000) =>
    lineOf({
      status: 32,
      progress: { blocks: 7, bytes, bytesPerSecond, ...(totalBytes === undefined ? {} : { totalBytes }) },
    })
  assert.equal(await lineOf({}), '')
  assert.equal(await lineOf({ size: 1_234_567n }), ' | Size: 1.2 MB')
  assert.equal(await running(4_500_000_000n, 10_000_000_000n), ' | Progress: 45% of 10 GB, 12 MB/s')
  assert.equal(await running(4_500_000_000n, 10_000_000_000n, 0), ' | Progress: 45% of 10 GB')
  assert.equal(await running(5_000_000n), ' | Progress: 5.0 MB, 7 blocks, 12 MB/s')
  assert.equal(await running(5_000_000n, 4_000_000n), ' | Progress: 5.0 MB, 7 blocks, 12 MB/s')
  assert.equal(await running(0n, 4_000_000n, 0), ' | Progress: 7 blocks')
})

test('sizes are sent in bytes, and shown with the pin', async () => {
  await using server = await serveRoutes({
    ...handlers,
    pinPath: ({ options }) => newPin(V0, { ...options, allocations: [A] }),
  })
  const add = (...flags: string[]) =>
    ctl(['--host', hostOf(server.url), 'pin', 'add', '--no-status', ...flags, V0.toString()])
  const { stdout } = await add('--size', '1.5GB', '--max-pin-size=2GiB')
  assert.match(stdout, / \| Added: unknown \| Size: 1\.5 GB \| Max\. Size: 2\.1 GB\n$/)
  const query = new URL(server.requests.at(-1)?.url ?? '', server.url).searchParams
  assert.deepEqual([query.get('size'), query.get('max-pin-size')], ['1500000000', '2147483648'])
  assert.match((await add()).stdout, / \| Added: unknown\n$/)
  const bad = await add('--max-pin-size', 'much')
  assert.equal(bad.code, 1)
  assert.match(bad.stderr + bad.stdout, /parsing max-pin-size: "much" is not a size such as 10GB/)
})
