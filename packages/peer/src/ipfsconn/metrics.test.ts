import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { newPin } from '@ipfs-cluster/api'
import { createMeter, silentLogger, systemClock } from '@ipfs-cluster/base'
import { createFakeIpfsNode, createFakeKubo, rawBlock } from '@ipfs-cluster/testkit'
import { createEmbeddedConnector, createKuboConnector, type IpfsConnector } from './index.ts'

const CONFIG = {
  nodeMultiaddress: '/ip4/127.0.0.1/tcp/1',
  ipfsRequestTimeoutMs: 30_000,
  pinTimeoutMs: 30_000,
  unpinTimeoutMs: 30_000,
  repogcTimeoutMs: 30_000,
  unpinDisable: false,
}
const common = { clock: systemClock, logger: silentLogger }

function readerOf(meter: ReturnType<typeof createMeter>) {
  return (name: string, suffix?: string) =>
    Object.fromEntries(
      (meter.collect().find(metric => metric.name === `ipfscluster_${name}`)?.samples ?? [])
        .filter(sample => sample.suffix === suffix)
        .map(({ labels, value }) => [Object.values(labels).join(' '), value]),
    )
}

/** Pins two, one of them twice; unpins one, twice. */
async function pinAndUnpin(connector: IpfsConnector): Promise<void> {
  const [one, two] = [rawBlock('one'), rawBlock('two')]
  await connector.blockStream(
    (async function* () {
      yield* [one, two]
    })(),
  )
  await connector.pin(newPin(one.cid))
  await connector.pin(newPin(one.cid))
  await connector.pin(newPin(two.cid))
  await connector.unpin(one.cid)
  await connector.unpin(one.cid)
}

const counts = (read: ReturnType<typeof readerOf>) =>
  Object.fromEntries(
    [
      'pins_pin_add',
      'pins_pin_add_errors',
      'pins_ipfs_pins',
      'blocks_put',
      'blocks_added',
      'blocks_added_size',
    ].map(name => [name, read(name)['']]),
  )

const AFTER = {
  pins_pin_add: 2,
  pins_pin_add_errors: 0,
  pins_ipfs_pins: 1,
  blocks_put: 1,
  blocks_added: 2,
  blocks_added_size: 6,
}

describe('what is measured of the IPFS daemon', () => {
  test('Kubo: the names of Go, the calls by kind, and the requests', async () => {
    const meter = createMeter()
    const read = readerOf(meter)
    await using kubo = await createFakeKubo()
    await using connector = createKuboConnector(
      { ...common, meter },
      { ...CONFIG, nodeMultiaddress: kubo.api },
    )
    await pinAndUnpin(connector)
    assert.deepEqual(counts(read), AFTER)
    assert.deepEqual(read('ipfs_request_duration_seconds', '_count'), { blockStream: 1, pin: 3, unpin: 2 })
    const requests = read('opencensus_io_http_client_completed_count')
    // An empty CAR goes first. pin/ls of what is not pinned, and pin/rm of the same, are answered by 500.
    assert.deepEqual(requests, { 'POST 200': 6, 'POST 500': 3 })
    assert.ok((read('opencensus_io_http_client_sent_bytes', '_sum')['POST 200'] ?? 0) > 6)
    assert.ok((read('opencensus_io_http_client_received_bytes', '_sum')['POST 500'] ?? 0) > 0)

    kubo.pins.clear()
    await Array.fromAsync(connector.pinLs())
    assert.equal(read('pins_ipfs_pins')[''], 0, 'what the daemon says')
  })

  test('Kubo: failures', async () => {
    const meter = createMeter()
    const read = readerOf(meter)
    await using kubo = await createFakeKubo()
    await using connector = createKuboConnector(
      { ...common, meter },
      { ...CONFIG, nodeMultiaddress: kubo.api },
    )
    const { cid } = rawBlock('one')
    kubo.fail({ path: 'pin/add', kind: 'error', status: 500, message: 'no' })
    await assert.rejects(connector.pin(newPin(cid)))
    kubo.fail({ path: 'dag/import', kind: 'refuse' })
    const blocks = async function* () {
      yield rawBlock('one')
    }
    await assert.rejects(connector.blockStream(blocks()))
    assert.equal(read('pins_pin_add')[''], 1)
    assert.equal(read('pins_pin_add_errors')[''], 1)
    assert.equal(read('pins_ipfs_pins')[''], 0)
    assert.equal(read('blocks_put_errors')[''], 1)
    assert.deepEqual(read('ipfs_request_errors_total'), {
      'pin IPFS_REQUEST_FAILED': 1,
      'blockStream IPFS_UNREACHABLE': 1,
    })
    assert.equal(read('opencensus_io_http_client_completed_count')['POST error'], 1)
  })

  test('the built-in node: the same, without requests', async () => {
    const meter = createMeter()
    const read = readerOf(meter)
    const node = createFakeIpfsNode()
    await using connector = createEmbeddedConnector({ ...common, meter, node }, CONFIG)
    await pinAndUnpin(connector)
    assert.deepEqual(counts(read), AFTER)
    await Array.fromAsync(connector.pinLs())
    assert.equal(read('pins_ipfs_pins')[''], 1)
  })

  test('a source of blocks that is left early is told at once', async () => {
    const meter = createMeter()
    const node = createFakeIpfsNode()
    await using connector = createEmbeddedConnector({ ...common, meter, node }, CONFIG)
    const returned = Promise.withResolvers<void>()
    const left = new AbortController()
    const source = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise<never>(() => undefined),
        return() {
          returned.resolve()
          return Promise.resolve({ done: true as const, value: undefined })
        },
      }),
    }
    const stored = assert.rejects(connector.blockStream(source, { signal: left.signal }), {
      name: 'AbortError',
    })
    left.abort()
    await stored
    await returned.promise
  })
})
