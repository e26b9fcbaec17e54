import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { newPin } from '@ipfs-cluster/api'
import { CodedError, silentLogger, systemClock } from '@ipfs-cluster/base'
import type { IpfsNode } from '@ipfs-cluster/ipfs'
import { createFakeIpfsNode, createManualClock, rawBlock } from '@ipfs-cluster/testkit'
import { createEmbeddedConnector } from './index.ts'

const CONFIG = { pinTimeoutMs: 30_000, unpinDisable: false }
const MIB = 1024 * 1024

function setUp(changes: Partial<IpfsNode> = {}, clock = systemClock) {
  const fake = createFakeIpfsNode()
  const node: IpfsNode = { ...fake, ...changes }
  return { fake, connector: createEmbeddedConnector({ node, clock, logger: silentLogger }, CONFIG) }
}

describe('the embedded connector', () => {
  it('stores blocks in groups, holding off garbage collection all the while', async () => {
    const fake = createFakeIpfsNode()
    const groups: number[] = []
    const holds: number[] = []
    const { connector } = setUp({
      hold: fake.hold,
      blocks: {
        ...fake.blocks,
        put: (blocks, options) => {
          groups.push(blocks.length)
          holds.push(fake.holds)
          return fake.blocks.put(blocks, options)
        },
      },
    })
    const blocks = async function* () {
      for (let i = 0; i < 10; i++) yield rawBlock(new Uint8Array(MIB).fill(i))
    }
    await connector.blockStream(blocks())
    assert.deepEqual(groups, [4, 4, 2])
    assert.deepEqual(holds, [1, 1, 1])
    assert.equal(fake.holds, 0)
  })

  it('tells the node whose hashes are known to be right', async () => {
    const fake = createFakeIpfsNode()
    const verified: (boolean | undefined)[] = []
    const { connector } = setUp({
      blocks: {
        ...fake.blocks,
        put: (blocks, options) => {
          verified.push(options?.verified)
          return fake.blocks.put(blocks, options)
        },
      },
    })
    const blocks = async function* () {
      yield rawBlock('a')
    }
    await connector.blockStream(blocks())
    await connector.blockStream(blocks(), { verified: true })
    assert.deepEqual(verified, [false, true])
  })

  it('keeps a failure of the block source as it is', async () => {
    const { connector } = setUp()
    const broken = new CodedError('the caller left', { code: 'RPC_UNREACHABLE' })
    const blocks = async function* () {
      yield rawBlock('a')
      throw broken
    }
    await assert.rejects(connector.blockStream(blocks()), error => error === broken)
  })

  it('stops taking blocks once storing has failed, even if the source is silent', async () => {
    const full = new CodedError('the repository is full', { code: 'IPFS_REPO_FULL' })
    const fake = createFakeIpfsNode()
    const { connector } = setUp({ blocks: { ...fake.blocks, put: () => Promise.reject(full) } })
    const blocks = async function* () {
      yield rawBlock(new Uint8Array(5 * MIB))
      await new Promise(() => undefined)
    }
    await assert.rejects(connector.blockStream(blocks()), {
      code: 'IPFS_REQUEST_FAILED',
      message: /the repository is full/,
    })
  })

  it('passes the origins on as providers and connects to ten of them', async () => {
    const fake = createFakeIpfsNode()
    const providers: (readonly string[] | undefined)[] = []
    const { connector } = setUp({
      swarm: fake.swarm,
      pins: {
        ...fake.pins,
        add: (_, options) => {
          providers.push(options?.providers)
          return Promise.resolve()
        },
      },
    })
    const origins = Array.from({ length: 12 }, (_, i) => `/ip4/127.0.0.1/tcp/4001/p2p/peer${i}`)
    await connector.pin(newPin(rawBlock('a').cid, { origins }))
    assert.deepEqual(providers, [Array.from({ length: 10 }, (_, i) => `peer${i}`)])
    assert.equal(fake.connects.length, 10)
  })

  it('measures a pin by its progress', async () => {
    const clock = createManualClock()
    const fake = createFakeIpfsNode()
    const { connector } = setUp(
      {
        pins: {
          ...fake.pins,
          async add(_, { signal, onProgress } = {}) {
            for (let blocks = 1; blocks <= 3; blocks++) {
              await clock.sleep(29_000, { signal })
              onProgress?.({ blocks, bytes: blocks, fetchedBlocks: blocks })
            }
            await clock.sleep(31_000, { signal })
          },
        },
      },
      clock,
    )
    const pinning = connector.pin(newPin(rawBlock('a').cid))
    pinning.catch(() => undefined)
    await clock.advance(29_000 * 3 + 30_000)
    await assert.rejects(pinning, { code: 'IPFS_TIMEOUT', message: /no progress within 30 s/ })
  })
})
