import { systemClock, utf8, type MeterRegistry } from '@ipfs-cluster/base'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMeter, silentLogger } from '@ipfs-cluster/base'
import { createRpcClient } from './client.ts'
import { EMPTY } from './codec.ts'
import { MUX_PROTOCOL, RPC_PROTOCOL } from './protocol.ts'
import { createRpcServer } from './server.ts'
import { BROKEN, collect, createPair, ECHO, FAIL, handlers, newSeen, SUM } from './test-service.ts'

function samples(meter: MeterRegistry, name: string, suffix?: string): Record<string, number> {
  const metric = meter.collect().find(metric => metric.name === name)
  return Object.fromEntries(
    (metric?.samples ?? [])
      .filter(sample => sample.suffix === suffix)
      .map(({ labels, value }) => [Object.values(labels).join(' '), value]),
  )
}

const DURATION = 'ipfscluster_rpc_duration_seconds'
const ERRORS = 'ipfscluster_rpc_errors_total'
const GO = 'ipfscluster_gorpc_libp2p_io_server'

for (const protocol of [RPC_PROTOCOL, MUX_PROTOCOL]) {
  test(`calls are measured by method on both sides, over ${protocol}`, async () => {
    await using pair = await createPair({ protocol })
    const { client, serverId, meters } = pair
    await client.call(serverId, ECHO, { data: utf8('x'.repeat(2000)), size: 1 })
    await assert.rejects(client.call(serverId, FAIL, EMPTY))
    if (protocol === RPC_PROTOCOL) {
      assert.deepEqual(await collect(client.stream(serverId, SUM, [1, 2])), [1, 3])
      await assert.rejects(collect(client.stream(serverId, BROKEN, [])))
    }
    const streams = protocol === RPC_PROTOCOL ? ['Test.Sum', 'Test.Broken'] : []
    const each = (names: string[], prefix = '') =>
      Object.fromEntries([...names, ...streams].map(name => [prefix + name, 1]))
    const unary = ['Test.Echo', 'Test.Fail']
    assert.deepEqual(samples(meters.client, DURATION, '_count'), each(unary, 'out '))
    assert.deepEqual(samples(meters.server, DURATION, '_count'), each(unary, 'in '))
    assert.deepEqual(samples(meters.server, `${GO}_completed_rpcs`), each(unary))
    assert.deepEqual(samples(meters.server, `${GO}_server_latency`, '_count'), each(unary))
    const broken = protocol === RPC_PROTOCOL ? { 'out Test.Broken RPC_REMOTE': 1 } : {}
    assert.deepEqual(samples(meters.client, ERRORS), { 'out Test.Fail RPC_REMOTE': 1, ...broken })
    for (const name of ['received_bytes_per_rpc', 'sent_bytes_per_rpc']) {
      const bytes = samples(meters.server, `${GO}_${name}`, '_sum')['Test.Echo'] ?? 0
      assert.ok(bytes > 2000 && bytes < 2100, `${name} ${bytes}`)
    }
  })
}

test('a call of the own id counts as served, as in Go', async () => {
  const meter = createMeter()
  const common = { clock: systemClock, logger: silentLogger, meter }
  await using server = createRpcServer({ handlers: handlers(newSeen()), authorize: () => false, ...common })
  await using client = createRpcClient({
    selfId: 'me',
    localHandler: name => server.handler(name),
    openStream: () => Promise.reject(new Error('not remote')),
    ...common,
  })
  await client.call('me', ECHO, { data: utf8('x'), size: 1 })
  assert.deepEqual(samples(meter, DURATION, '_count'), { 'in Test.Echo': 1 })
  assert.deepEqual(samples(meter, `${GO}_completed_rpcs`), { 'Test.Echo': 1 })
})
