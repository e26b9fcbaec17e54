import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createMeter, silentLogger, utf8 } from '@ipfs-cluster/base'
import { openLevelStore } from '@ipfs-cluster/base/level-store'
import { createManualClock } from '@ipfs-cluster/testkit'
import { compactionSeconds, createStoreMetrics } from './store-metrics.ts'

test('tells what the store takes of the disk, and looks no more often than it should', async () => {
  const path = await mkdtemp(join(tmpdir(), 'store-metrics-'))
  const meter = createMeter()
  const clock = createManualClock()
  const value = (name: string) =>
    meter.collect().find(metric => metric.name === name)?.samples[0]?.value ?? -1
  {
    await using store = await openLevelStore(path)
    const { refresh } = createStoreMetrics({ store, meter, clock, logger: silentLogger }, path)
    assert.equal(value('ipfscluster_store_size_bytes'), 0)
    await refresh()
    const empty = value('ipfscluster_store_size_bytes')
    await store.batch([{ type: 'put', key: utf8('k'), value: new Uint8Array(100_000).fill(1) }])
    await refresh()
    assert.equal(value('ipfscluster_store_size_bytes'), empty, 'a moment later')
    await clock.advance(5_000)
    await refresh()
    assert.ok(value('ipfscluster_store_size_bytes') > empty)
    assert.ok(value('ipfscluster_disk_free_bytes') > 0)
    assert.ok(value('ipfscluster_disk_size_bytes') > value('ipfscluster_disk_free_bytes'))
    assert.equal(value('ipfscluster_store_files'), 0)
    assert.equal(value('ipfscluster_store_compaction_seconds_total'), 0)
  }
  assert.equal(value('ipfscluster_store_files'), 0, 'closed')
  await rm(path, { recursive: true })
})

test('a folder that is gone is no failure of the scrape', async () => {
  const meter = createMeter()
  const store = { property: () => '' }
  const clock = createManualClock()
  const { refresh } = createStoreMetrics({ store, meter, clock, logger: silentLogger }, '/nowhere/at/all')
  await refresh()
})

test('adds up the seconds of the table of LevelDB', () => {
  const table = `                               Compactions
Level  Files Size(MB) Time(sec) Read(MB) Write(MB)
--------------------------------------------------
  0        2       10         3        0        12
  1       12       33        14       70        60
`
  assert.equal(compactionSeconds(table), 17)
  assert.equal(compactionSeconds(''), 0)
})
