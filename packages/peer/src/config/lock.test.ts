import assert from 'node:assert/strict'
import { access, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { openLevelStore } from '@ipfs-cluster/base/level-store'
import { lockFolder } from './lock.ts'

test('a folder in use is refused in the words of Go, and free again afterwards', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'lock-'))
  const path = join(folder, 'cluster.lock')
  {
    await using _lock = await lockFolder(folder, 123)
    assert.equal(await readFile(path, 'utf8'), '123\n')
  }
  await assert.rejects(access(path))
  {
    await using _store = await openLevelStore(join(folder, 'store'))
    await assert.rejects(lockFolder(folder, 123), {
      code: 'FOLDER_LOCKED',
      message: `lock ${path}: someone else has the lock. If no other ipfs-cluster-service process is running, remove ${path}, or make sure that the config folder is writable for the user running ipfs-cluster-service.`,
    })
  }
  await using _again = await lockFolder(folder, 124)
  await rm(folder, { recursive: true })
})
