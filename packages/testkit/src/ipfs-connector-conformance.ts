import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { newPin, type NodeWithMeta, type Pin } from '@ipfs-cluster/api'
import { lend, withPieces } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
// Only the type: testkit serves the peer's rooms and must not need them to run.
import type { IpfsConnector } from '../../peer/src/ipfsconn/index.ts'
import { directoryBlock, rawBlock, testBlock } from './test-blocks.ts'
import { waitFor } from './wait-for.ts'

export interface ConnectorSetup extends AsyncDisposable {
  readonly connector: IpfsConnector
}

export interface ConnectorSetupConfig {
  readonly pinTimeoutMs: number
  readonly unpinDisable: boolean
}

/** Makes a connector in front of an empty daemon that has no peers. */
export type SetUpConnector = (config: ConnectorSetupConfig) => Promise<ConnectorSetup>

const DAG_CBOR = 0x71
const NOBODY = '/ip4/127.0.0.1/tcp/1/p2p/12D3KooWEqnTdgqHnkkwarSrJjeMP2ZJiADWLYADaNvUb6SQNyPF'

/** What every adapter of the port `IpfsConnector` must do. */
export function runIpfsConnectorConformance(name: string, setUp: SetUpConnector): void {
  describe(`IpfsConnector: ${name}`, () => {
    const withConnector =
      (work: (connector: IpfsConnector) => Promise<void>, config: Partial<ConnectorSetupConfig> = {}) =>
      async () => {
        await using setup = await setUp({ pinTimeoutMs: 60_000, unpinDisable: false, ...config })
        await work(setup.connector)
      }
    pinCases(withConnector)
    blockCases(withConnector)
    daemonCases(withConnector)
  })
}

type WithConnector = (
  work: (connector: IpfsConnector) => Promise<void>,
  config?: Partial<ConnectorSetupConfig>,
) => () => Promise<void>

function pinCases(withConnector: WithConnector): void {
  it(
    'pins recursively, once and again',
    withConnector(async connector => {
      const { cid } = await store(connector, rawBlock('a'))
      assert.equal(await connector.pinLsCid(cid, 'recursive'), 'unpinned')
      await connector.pin(newPin(cid))
      await connector.pin(newPin(cid))
      assert.equal(await connector.pinLsCid(cid, 'recursive'), 'recursive')
      assert.equal(await connector.pinLsCid(cid, 'direct'), 'unpinned')
    }),
  )

  it(
    'pins directly, and lists recursive and direct pins',
    withConnector(async connector => {
      const one = await store(connector, rawBlock('one'))
      const two = await store(connector, rawBlock('two'))
      await connector.pin(newPin(one.cid))
      await connector.pin(newPin(two.cid, { mode: 'direct' }))
      assert.equal(await connector.pinLsCid(two.cid, 'direct'), 'direct')
      const listed = await Array.fromAsync(connector.pinLs())
      const typeOf = (cid: CID) => listed.filter(pin => pin.cid.equals(cid)).map(pin => pin.type)
      assert.deepEqual(typeOf(one.cid), ['recursive'])
      assert.deepEqual(typeOf(two.cid), ['direct'])
    }),
  )

  it(
    'says of many whether they are pinned, whatever was thought of them',
    withConnector(async connector => {
      const { arePinned } = connector
      // A connector may do without.
      if (arePinned === undefined) return
      const v0 = await store(connector, directoryBlock([]))
      const blocks = await Promise.all(['one', 'two', 'three'].map(text => store(connector, rawBlock(text))))
      const pins = [v0, ...blocks].map(({ cid }) => newPin(cid))
      const direct = await store(connector, rawBlock('direct'))
      const [first, second, ...others] = pins as [Pin, Pin, ...Pin[]]
      for (const pin of [first, ...others, newPin(direct.cid, { mode: 'direct' })]) await connector.pin(pin)
      for (const areLikely of [false, true]) {
        assert.deepEqual(await arePinned([first, ...others], { areLikely }), [true, true, true])
        assert.deepEqual(await arePinned(pins, { areLikely }), [true, false, true, true])
        assert.deepEqual(await arePinned([second], { areLikely }), [false])
        const mixed = [first, newPin(direct.cid, { mode: 'direct' }), newPin(direct.cid)]
        assert.deepEqual(await arePinned(mixed, { areLikely }), [true, true, false])
      }
    }),
  )

  it(
    'unpins, and takes not being pinned as success',
    withConnector(async connector => {
      const { cid } = await store(connector, rawBlock('a'))
      await connector.pin(newPin(cid))
      await connector.unpin(cid)
      assert.equal(await connector.pinLsCid(cid, 'recursive'), 'unpinned')
      await connector.unpin(cid)
    }),
  )

  it(
    'refuses to unpin where the configuration says so',
    withConnector(
      async connector => {
        await assert.rejects(connector.unpin(rawBlock('a').cid), { code: 'IPFS_UNPIN_DISABLED' })
      },
      { unpinDisable: true },
    ),
  )

  it(
    'updates a pin and keeps the one it came from',
    withConnector(async connector => {
      const file = await store(connector, rawBlock('file'))
      const from = await store(connector, directoryBlock([{ name: 'a', cid: file.cid }]))
      const to = await store(connector, directoryBlock([{ name: 'b', cid: file.cid }]))
      await connector.pin(newPin(from.cid))
      await connector.pin(newPin(to.cid, { pinUpdate: from.cid }))
      assert.equal(await connector.pinLsCid(to.cid, 'recursive'), 'recursive')
      assert.equal(await connector.pinLsCid(from.cid, 'recursive'), 'recursive')
    }),
  )

  it(
    'pins plainly when the pin to update from is not there',
    withConnector(async connector => {
      const { cid } = await store(connector, rawBlock('a'))
      await connector.pin(newPin(cid, { pinUpdate: rawBlock('never pinned').cid }))
      assert.equal(await connector.pinLsCid(cid, 'recursive'), 'recursive')
    }),
  )

  it(
    'gives up on content that nobody has',
    withConnector(
      async connector => {
        await assert.rejects(connector.pin(newPin(rawBlock('nowhere').cid)), { code: 'IPFS_TIMEOUT' })
      },
      { pinTimeoutMs: 300 },
    ),
  )

  it(
    'stops pinning when told to',
    withConnector(async connector => {
      const stop = new AbortController()
      const pinning = connector.pin(newPin(rawBlock('nowhere').cid), { signal: stop.signal })
      stop.abort(new Error('enough'))
      await assert.rejects(pinning, /enough/)
    }),
  )

  it(
    'pins although no origin can be reached',
    withConnector(async connector => {
      const { cid } = await store(connector, rawBlock('a'))
      const pin: Pin = newPin(cid, { origins: [NOBODY, NOBODY] })
      await connector.pin(pin)
      assert.equal(await connector.pinLsCid(cid, 'recursive'), 'recursive')
    }),
  )
}

function blockCases(withConnector: WithConnector): void {
  it(
    'stores blocks of all kinds and gives them back',
    withConnector(async connector => {
      const raw = Array.from({ length: 200 }, (_, i) => rawBlock(`block ${i}`))
      const big = Array.from({ length: 12 }, (_, i) => rawBlock(new Uint8Array(1024 * 1024).fill(i)))
      const first = raw[0] as NodeWithMeta
      const v0 = directoryBlock([{ name: 'zero', cid: first.cid }], 0)
      const v1 = directoryBlock([{ name: 'one', cid: first.cid }])
      const cbor = testBlock(Uint8Array.of(0xa0), DAG_CBOR)
      // Kinds alternate, and one block comes twice.
      const blocks = [v0, ...raw, v1, ...big, cbor, first, v0]
      await connector.blockStream(streamOf(blocks))
      for (const { cid, data } of [v0, v1, cbor, ...raw.slice(0, 3), ...big.slice(0, 2)]) {
        assert.deepEqual(Buffer.from(await connector.blockGet(cid)), Buffer.from(data))
      }
    }),
  )

  it(
    'gives the blocks of a DAG, each once, in the order of links and as deep as asked',
    withConnector(async connector => {
      const [a, b, other] = ['a', 'b', 'not of the DAG'].map(rawBlock) as [
        NodeWithMeta,
        NodeWithMeta,
        NodeWithMeta,
      ]
      const below = directoryBlock([
        { name: 'a', cid: a.cid },
        { name: 'b', cid: b.cid },
      ])
      const root = directoryBlock([
        { name: 'one', cid: below.cid },
        { name: 'two', cid: a.cid },
        { name: 'zwo', cid: below.cid },
      ])
      await connector.blockStream(streamOf([a, b, other, below, root]))
      const dag = async (maxDepth?: number) => {
        const blocks = await Array.fromAsync(connector.dagBlocks(root.cid, { maxDepth }))
        const known = new Map([a, b, below, root].map(({ cid, data }) => [`${cid}`, data]))
        for (const { cid, data } of blocks) {
          assert.deepEqual(Buffer.from(data), Buffer.from(known.get(`${cid}`) ?? assert.fail(`${cid}`)))
        }
        return blocks.map(({ cid }) => `${cid}`)
      }
      assert.deepEqual(
        await dag(),
        [root, below, a, b].map(({ cid }) => `${cid}`),
      )
      assert.deepEqual(
        await dag(1),
        [root, below, a].map(({ cid }) => `${cid}`),
      )
      assert.deepEqual(await dag(0), [`${root.cid}`])
    }),
  )

  it(
    'stops waiting for a block of a DAG when told to',
    withConnector(async connector => {
      const root = directoryBlock([{ name: 'gone', cid: rawBlock('nowhere').cid }])
      await connector.blockStream(streamOf([root]))
      for (const maxDepth of [undefined, 1]) {
        const stop = new AbortController()
        const reading = Array.fromAsync(connector.dagBlocks(root.cid, { maxDepth, signal: stop.signal }))
        stop.abort(new Error('enough'))
        await assert.rejects(reading, /enough/)
      }
    }),
  )

  it(
    'gives back what was lent of the blocks that it owns, once they are stored, and of no others',
    withConnector(async connector => {
      for (const owned of [true, false]) {
        const lent = new Uint8Array(100_000).fill(owned ? 1 : 2)
        lend(lent)
        const { cid, cumulativeSize, data } = rawBlock(lent.slice())
        const block = withPieces({ cid, cumulativeSize }, [lent.subarray(0, 40_000), lent.subarray(40_000)])
        await connector.blockStream(streamOf([block]), { verified: true, owned })
        assert.equal(lent.length, owned ? 0 : 100_000)
        assert.deepEqual(Buffer.from(await connector.blockGet(cid)), Buffer.from(data))
      }
    }),
  )

  it(
    'takes an empty stream',
    withConnector(async connector => {
      await connector.blockStream(streamOf([]))
    }),
  )

  it(
    'fails as the source of the blocks does',
    withConnector(async connector => {
      const blocks = async function* () {
        yield rawBlock('a')
        throw new RangeError('the source broke')
      }
      await assert.rejects(connector.blockStream(blocks()), {
        name: 'RangeError',
        message: 'the source broke',
      })
    }),
  )

  it(
    'refuses a block that is not what its CID says',
    withConnector(async connector => {
      const wrong = { ...rawBlock('right'), data: rawBlock('wrong').data }
      await assert.rejects(connector.blockStream(streamOf([wrong])), { code: 'IPFS_REQUEST_FAILED' })
    }),
  )

  it(
    'stops storing when told to, even if the source is silent',
    withConnector(async connector => {
      const stop = new AbortController()
      let taken = 0
      const blocks = async function* () {
        yield rawBlock('a')
        taken++
        await new Promise(() => undefined)
      }
      const storing = connector.blockStream(blocks(), { signal: stop.signal })
      // At once, so that a failure before the time is told, too.
      const stopped = assert.rejects(storing, /enough/)
      await waitFor(() => taken === 1)
      stop.abort(new Error('enough'))
      await stopped
    }),
  )

  it(
    'gives up waiting for a block when told to',
    withConnector(async connector => {
      const stop = new AbortController()
      const getting = connector.blockGet(rawBlock('nowhere').cid, { signal: stop.signal })
      stop.abort(new Error('enough'))
      await assert.rejects(getting, /enough/)
    }),
  )
}

function daemonCases(withConnector: WithConnector): void {
  it(
    'says who the daemon is',
    withConnector(async connector => {
      const { id, addresses, error } = await connector.id()
      assert.match(id, /^(12D3|Qm)/)
      assert.equal(error, '')
      for (const address of addresses) assert.ok(address.endsWith(`/p2p/${id}`), address)
    }),
  )

  it(
    'tells how full the repository is',
    withConnector(async connector => {
      const before = await connector.repoStat()
      await store(connector, rawBlock(new Uint8Array(500_000)))
      const after = await connector.repoStat()
      assert.ok(after.repoSize > before.repoSize, `${after.repoSize} > ${before.repoSize}`)
      assert.ok(after.storageMax > 0n)
    }),
  )

  it(
    'collects what is not pinned',
    withConnector(async connector => {
      const kept = await store(connector, rawBlock('kept'))
      const lost = await store(connector, rawBlock('lost'))
      await connector.pin(newPin(kept.cid))
      const removed = await Array.fromAsync(connector.repoGC())
      const has = (cid: CID) =>
        removed.some(({ key }) => key?.multihash.bytes.toHex() === cid.multihash.bytes.toHex())
      assert.ok(has(lost.cid))
      assert.ok(!has(kept.cid))
      assert.ok(removed.every(({ error }) => error === ''))
    }),
  )

  it(
    'resolves paths',
    withConnector(async connector => {
      const file = await store(connector, rawBlock('file'))
      const inner = await store(connector, directoryBlock([{ name: 'file', cid: file.cid }]))
      const outer = await store(connector, directoryBlock([{ name: 'in ner', cid: inner.cid }]))
      const nowhere = rawBlock('nowhere').cid
      assert.equal(String(await connector.resolve(`${nowhere}`)), `${nowhere}`)
      assert.equal(String(await connector.resolve(`/ipfs/${nowhere}`)), `${nowhere}`)
      assert.equal(String(await connector.resolve(`/ipfs/${outer.cid}/in ner/file`)), `${file.cid}`)
      await assert.rejects(connector.resolve(`/ipfs/${outer.cid}/missing`), { code: 'IPFS_REQUEST_FAILED' })
      await assert.rejects(connector.resolve('/ipfs/nonsense'), { code: 'IPFS_BAD_PATH' })
      await assert.rejects(connector.resolve(''), { code: 'IPFS_BAD_PATH' })
    }),
  )

  it(
    'lists the swarm, and takes peers that cannot be reached',
    withConnector(async connector => {
      assert.deepEqual(await connector.swarmPeers(), [])
      await connector.swarmConnect([NOBODY])
    }),
  )

  it(
    'answers nothing once it is disposed of',
    withConnector(async connector => {
      const pinning = connector.pin(newPin(rawBlock('nowhere').cid))
      pinning.catch(() => undefined)
      await connector[Symbol.asyncDispose]()
      await connector[Symbol.asyncDispose]()
      await assert.rejects(pinning, { name: 'AbortError' })
      await assert.rejects(connector.id(), { name: 'AbortError' })
    }),
  )
}

async function store(connector: IpfsConnector, block: NodeWithMeta): Promise<NodeWithMeta> {
  await connector.blockStream(streamOf([block]))
  return block
}

async function* streamOf(blocks: readonly NodeWithMeta[]): AsyncGenerator<NodeWithMeta> {
  yield* blocks
}
