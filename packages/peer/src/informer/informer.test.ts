import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { IPFSRepoStat, Metric } from '@ipfs-cluster/api'
import { silentLogger } from '@ipfs-cluster/base'
import { createManualClock } from '@ipfs-cluster/testkit'
import {
  createInformers,
  diskInformer,
  pinQueueInformer,
  tagsInformer,
  type InformerConfig,
} from './index.ts'

const selfId = 'self'
const TTL = 30_000

function setup() {
  const clock = createManualClock()
  const published: { readonly at: number; readonly metric: Metric }[] = []
  const state = {
    stat: { repoSize: 1_000_000n, storageMax: 10_000_000_000n } as IPFSRepoStat | Error,
    queued: 0,
    reserved: 0,
    publishError: undefined as Error | undefined,
  }
  const start = clock.now()
  const components = {
    selfId,
    clock,
    logger: silentLogger,
    ipfs: {
      repoStat: () =>
        state.stat instanceof Error ? Promise.reject(state.stat) : Promise.resolve(state.stat),
    },
    tracker: { pinQueueSize: () => state.queued, reservedBytes: () => state.reserved },
    monitor: {
      publish(metric: Metric) {
        if (state.publishError !== undefined) return Promise.reject(state.publishError)
        published.push({ at: clock.now() - start, metric })
        return Promise.resolve()
      },
    },
  }
  return { clock, published, state, components }
}

describe('metrics', () => {
  test('freespace and reposize', async () => {
    const { components, state, clock } = setup()
    const free = diskInformer(components, { metricTtlMs: TTL, metricType: 'freespace' })
    const expected = {
      name: 'freespace',
      peer: selfId,
      value: '9999000000',
      weight: 9_999_000_000n,
      valid: true,
      partitionable: false,
      receivedAt: 0n,
    }
    const [metric] = await free.metrics()
    assert.deepEqual({ ...metric, expire: undefined }, { ...expected, expire: undefined })
    assert.equal((metric?.expire ?? 0n) / 1_000_000n, BigInt(clock.now() + TTL))
    state.reserved = 9_998_000_000
    assert.equal((await free.metrics())[0]?.weight, 1_000_000n, 'what pins have yet to fetch is taken')
    state.reserved = 9_999_000_000
    assert.equal((await free.metrics())[0]?.valid, false)
    state.reserved = 0
    const repo = diskInformer(components, { metricTtlMs: TTL, metricType: 'reposize' })
    const [used] = await repo.metrics()
    assert.deepEqual([used?.name, used?.value, used?.weight], ['reposize', '1000000', -1_000_000n])
    state.stat = { repoSize: 10n, storageMax: 10n }
    assert.equal((await free.metrics())[0]?.valid, false, 'a full disk takes no pins')
    state.stat = new Error('daemon down')
    assert.equal((await free.metrics())[0]?.valid, false)
    assert.equal((await repo.metrics())[0]?.valid, false)
  })

  test('tags are partitionable and weightless', async () => {
    const { components } = setup()
    const metrics = await tagsInformer(components, {
      metricTtlMs: TTL,
      tags: { group: 'default', zone: 'eu' },
    }).metrics()
    assert.deepEqual(
      metrics.map(({ name, value, weight, partitionable }) => [name, value, weight, partitionable]),
      [
        ['tag:group', 'default', 0n, true],
        ['tag:zone', 'eu', 0n, true],
      ],
    )
  })

  test('pinqueue weighs whole buckets', async () => {
    const { components, state } = setup()
    const weigh = async (queued: number, weightBucketSize: number) => {
      state.queued = queued
      const [metric] = await pinQueueInformer(components, { metricTtlMs: TTL, weightBucketSize }).metrics()
      assert.equal(metric?.value, `${queued}`)
      return metric?.weight
    }
    assert.equal(await weigh(99_999, 100_000), 0n)
    assert.equal(await weigh(250_000, 100_000), -2n)
    assert.equal(await weigh(7, 0), -7n)
  })
})

const everything: InformerConfig = {
  disk: { metricTtlMs: TTL, metricType: 'freespace' },
  tags: { metricTtlMs: TTL, tags: { group: 'default' } },
  pinqueue: { metricTtlMs: TTL, weightBucketSize: 100_000 },
}

describe('cadence', () => {
  const times = (published: ReturnType<typeof setup>['published'], name: string) =>
    published.filter(({ metric }) => metric.name === name).map(({ at }) => at)

  test('at once, then at half of the time to live', async () => {
    const { components, clock, published } = setup()
    await using _ = createInformers(components, everything)
    await clock.advance(40_000)
    for (const name of ['freespace', 'tag:group', 'pinqueue']) {
      assert.deepEqual(times(published, name), [0, 15_000, 30_000], name)
    }
  })

  test('after an error at a quarter; an invalid metric is not published', async () => {
    const { components, clock, published, state } = setup()
    state.stat = new Error('daemon down')
    await using _ = createInformers(components, everything)
    await clock.advance(8_000)
    assert.deepEqual(times(published, 'freespace'), [])
    state.stat = { repoSize: 0n, storageMax: 5n }
    state.publishError = new Error('no peers')
    await clock.advance(8_000)
    state.publishError = undefined
    await clock.advance(20_000)
    assert.deepEqual(times(published, 'freespace'), [22_500])
    assert.deepEqual(times(published, 'tag:group'), [0, 22_500])
  })

  test('only informers that are configured run', async () => {
    const { components, clock, published } = setup()
    await using _ = createInformers(components, {
      disk: undefined,
      tags: undefined,
      pinqueue: everything.pinqueue,
    })
    await clock.advance(1_000)
    assert.deepEqual(
      published.map(({ metric }) => metric.name),
      ['pinqueue'],
    )
  })

  test('publishNow publishes at once and says what failed', async () => {
    const { components, clock, published, state } = setup()
    await using informers = createInformers(components, everything)
    await clock.advance(1_000)
    await informers.publishNow()
    assert.deepEqual(times(published, 'pinqueue'), [0, 1_000])
    state.publishError = new Error('no peers')
    await assert.rejects(informers.publishNow(), AggregateError)
  })

  test('disposing ends the loops', async () => {
    const { components, clock } = setup()
    const informers = createInformers(components, everything)
    await clock.advance(1)
    await informers[Symbol.asyncDispose]()
    await informers[Symbol.asyncDispose]()
    assert.equal(clock.pending, 0)
  })
})
