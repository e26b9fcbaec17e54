import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createChunker } from './chunker.ts'
import { createCidBuilder } from './hashing.ts'
import { piecesOf, testBytes } from './test-content.ts'
import { importUnixfs } from './unixfs-import.ts'

test('progress is every 256 KiB, whatever the pieces are in which a file arrives', async () => {
  for (const size of [10_007, 65_536, 600_420]) {
    const parts = async function* () {
      yield { path: 'f', kind: 'file' as const, content: piecesOf(testBytes(600_420), size) }
    }
    const items = importUnixfs(parts(), {
      chunk: createChunker('size-262144'),
      cids: createCidBuilder('sha2-256', 0),
      layout: 'balanced',
      rawLeaves: false,
      wrap: false,
      progress: true,
      put: () => Promise.resolve(),
    })
    const noted: number[] = []
    for await (const item of items) if (item.kind === 'progress') noted.push(item.bytes)
    assert.deepEqual(noted, [262_144, 524_288, 600_420], `pieces of ${size}`)
  }
})
