import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMemoryStore, Limiter } from '@ipfs-cluster/base'
import { block } from '../test-node.ts'
import type { Block } from '../types.ts'
import { openBlockIndex } from './block-index.ts'
import { createGroupCommit } from './group-commit.ts'
import type { SegmentFiles } from './segment-files.ts'
import { createSegmentWriter } from './segment-writer.ts'

interface Failure {
  write?: string | undefined
  sync?: string | undefined
  /** @default every one */
  readonly segment?: number
}

/** A committer on files that fail when told to. */
async function committer(fail: Failure, free = 2 ** 40) {
  const stored: Block[] = []
  const step = async (code: string | undefined) => {
    if (code !== undefined) throw Object.assign(new Error(code), { code })
  }
  const isMeant = (segment: number) => fail.segment === undefined || fail.segment === segment
  const files: Pick<SegmentFiles, 'write' | 'sync'> = {
    write: async segment => await step(isMeant(segment) ? fail.write : undefined),
    sync: async segment => await step(isMeant(segment) ? fail.sync : undefined),
  }
  const index = await openBlockIndex(createMemoryStore())
  const commits = createGroupCommit({
    folder: 'here',
    index,
    writer: createSegmentWriter(index, files as SegmentFiles),
    writing: new Limiter(1),
    committing: new Limiter(1),
    quota: () => free - index.totals().bytes,
    diskFree: async () => 2 ** 40,
    onStored: blocks => stored.push(...blocks),
  })
  return { commits, index, stored }
}

test('a full disk is told as such, leaves nothing behind, and does not last', async () => {
  const fail: Failure = { write: 'ENOSPC' }
  const { commits, index, stored } = await committer(fail)
  await assert.rejects(commits.put([block('a')]), { code: 'IPFS_REPO_FULL' })
  assert.deepEqual(index.totals(), { bytes: 0, count: 0 })
  fail.write = undefined
  await commits.put([block('a'), block('b'), block('a')])
  assert.equal(stored.length, 2)
})

test('a failed sync fails whoever relied on it, and its segment is left', async () => {
  const fail: Failure = { sync: 'EIO' }
  const { commits, index } = await committer(fail)
  const outcomes = await Promise.allSettled([
    commits.put([block('a')]),
    commits.put([block('a')]),
    commits.put([block('b')]),
  ])
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ['rejected', 'rejected', 'rejected'],
  )
  assert.equal(index.totals().count, 0)
  fail.sync = undefined
  await commits.put([block('a')])
  assert.notEqual((await index.locate(block('a').cid.multihash.bytes))?.segment, 1)
})

test('puts at the same time share the limit', async () => {
  const { commits, index } = await committer({}, 1000)
  const puts = Array.from({ length: 10 }, (_, i) => commits.put([block(`${i}`.repeat(254))]))
  const outcomes = await Promise.allSettled(puts)
  assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 3)
  assert.deepEqual(index.totals(), { bytes: 900, count: 3 })
})

test('closing waits for what is under way and refuses the rest', async () => {
  const { commits, stored } = await committer({})
  const put = commits.put([block('a')])
  await commits.close()
  assert.equal(stored.length, 1)
  await put
  await assert.rejects(commits.put([block('b')]), { code: 'IPFS_REPO_CLOSED' })
})

for (const failing of ['write', 'sync'] as const) {
  test(`when one of two segments fails in ${failing}, nothing of the group is there, and both are left`, async () => {
    const fail: Failure = { [failing]: 'EIO', segment: 2 }
    const { commits, index } = await committer(fail)
    const big = ['a', 'b', 'c', 'd'].map(letter => block(letter.repeat(400_000)))
    await assert.rejects(commits.put(big), { code: 'EIO' })
    assert.deepEqual(index.totals(), { bytes: 0, count: 0 })
    await commits.put(big)
    const places = await index.locateMany(big.map(({ cid }) => cid.multihash.bytes))
    assert.deepEqual(new Set(places.map(place => place?.segment)), new Set([3, 4]))
    assert.ok(places.every(place => place !== undefined && place.offset < 800_100))
  })
}
