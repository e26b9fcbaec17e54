import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createMemoryStore, systemRandom } from '@ipfs-cluster/base'
import { createManualClock } from '@ipfs-cluster/testkit'
import { createHealthProbe, HealthError, PROBE_TIMEOUT_MS, type HealthProbeComponents } from './index.ts'

const never = () => new Promise<never>(() => undefined)

async function setup(changes: Partial<HealthProbeComponents> = {}) {
  const clock = createManualClock()
  let calls = 0
  const network: HealthProbeComponents['network'] = {
    peerId: 'self',
    topics: () => ['topic'],
    rpc: {
      call: () => Promise.resolve({ version: '1' } as never),
      stream: async function* () {
        yield* []
      },
    },
  }
  const components: HealthProbeComponents = {
    store: createMemoryStore(),
    consensus: {
      state: {
        get: never,
        getMany: never,
        nextExpiry: never,
        onExpiry: () => ({ [Symbol.dispose]: () => undefined }),
        expired: async function* () {
          yield* []
        },
        lines: async function* () {},
        newest: async function* () {},
        count: never,
        list: async function* () {
          yield* []
        },
      },
    },
    network,
    ipfs: {
      async id() {
        calls++
        return { id: 'daemon', addresses: [], error: '' }
      },
    },
    ready: Promise.resolve(),
    clock,
    random: systemRandom,
    ...changes,
  }
  const probe = createHealthProbe(components)
  // What is ready is known a turn later.
  await Promise.resolve()
  return { clock, probe, components, calls: () => calls }
}

const failsWith = (parts: readonly string[], message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof HealthError)
  assert.deepEqual(error.data, { code: 'NOT_READY', parts })
  assert.match(error.message, message)
  return true
}

describe('the health probe', () => {
  test('passes when all parts work, and is shared by those who ask at once', async () => {
    const { probe, calls } = await setup()
    await Promise.all([probe.check(), probe.check()])
    assert.equal(calls(), 1)
    await probe.check()
    assert.equal(calls(), 2)
  })

  test('names every part that fails, and why', async () => {
    const { components } = await setup()
    const fail = () => Promise.reject(new Error('broken'))
    const { probe } = await setup({
      store: { ...components.store, batch: fail },
      network: { ...components.network, topics: () => [], rpc: { ...components.network.rpc, call: fail } },
      ready: never(),
    })
    await assert.rejects(
      probe.check(),
      failsWith(
        ['store', 'pubsub', 'rpc', 'cluster'],
        /^not ready: store: broken; pubsub: not subscribed .*; rpc: broken; cluster: still starting/,
      ),
    )
  })

  test('a store that forgets what was written is found', async () => {
    const { components } = await setup()
    const { probe } = await setup({ store: { ...components.store, get: () => Promise.resolve(undefined) } })
    await assert.rejects(probe.check(), failsWith(['store'], /what was written is not what is read/))
  })

  test('a part that does not answer fails at the deadline', async () => {
    const { probe, clock } = await setup({ ipfs: { id: never } })
    const checked = probe.check()
    const rejected = assert.rejects(checked, failsWith(['ipfs'], /ipfs: no answer within 5000 ms/))
    await clock.advance(PROBE_TIMEOUT_MS)
    await rejected
  })

  test('who leaves early does not stop the others', async () => {
    const id = Promise.withResolvers<{ id: string; addresses: readonly string[]; error: string }>()
    const { probe } = await setup({ ipfs: { id: () => id.promise } })
    const left = new AbortController()
    const first = assert.rejects(probe.check({ signal: left.signal }), { name: 'AbortError' })
    const second = probe.check()
    left.abort()
    await first
    id.resolve({ id: 'daemon', addresses: [], error: '' })
    await second
  })
})
