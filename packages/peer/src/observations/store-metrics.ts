import { readdir, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { errorMessage, type Clock, type Logger, type Meter } from '@ipfs-cluster/base'
import type { LevelStore } from '@ipfs-cluster/base/level-store'

export interface StoreMetrics {
  /** Looks at the disk anew, unless that was done a moment ago. Never rejects. To be called before metrics are read. */
  refresh(): Promise<void>
}

/** The files are looked at no more often than this, however often somebody asks. Milliseconds. */
const MIN_INTERVAL_MS = 5_000
/** LevelDB has seven levels. */
const LEVELS = [0, 1, 2, 3, 4, 5, 6]

/** What the store in folder `path` takes of its disk, what is left there, and how much LevelDB has compacted. */
export function createStoreMetrics(
  {
    store,
    meter,
    clock,
    logger,
  }: {
    readonly store: Pick<LevelStore, 'property'>
    readonly meter: Meter
    readonly clock: Clock
    readonly logger: Logger
  },
  path: string,
): StoreMetrics {
  const seen = { store: 0, free: 0, total: 0 }
  let lookedAt = -Infinity
  meter.gauge('ipfscluster_store_size_bytes', 'Size of the files of the store', () => seen.store)
  meter.gauge(
    'ipfscluster_disk_free_bytes',
    "Space left to this user on the disk of the store, which is not the IPFS daemon's",
    () => seen.free,
  )
  meter.gauge('ipfscluster_disk_size_bytes', 'Size of the disk of the store', () => seen.total)
  for (const level of LEVELS) {
    meter.gauge(
      'ipfscluster_store_files',
      'Sorted files of the store, by level; many at level 0 mean that compaction falls behind',
      () => Number(store.property(`leveldb.num-files-at-level${level}`)),
      { level: String(level) },
    )
  }
  meter.total(
    'ipfscluster_store_compaction_seconds_total',
    'Time the store has spent on compaction, in whole seconds of each level',
    () => compactionSeconds(store.property('leveldb.stats')),
  )
  const look = async () => {
    const disk = await statfs(path)
    seen.free = disk.bavail * disk.bsize
    seen.total = disk.blocks * disk.bsize
    seen.store = await sizeOf(path)
  }
  return {
    async refresh() {
      const now = clock.monotonic()
      if (now - lookedAt < MIN_INTERVAL_MS) return
      lookedAt = now
      try {
        await look()
      } catch (error) {
        logger.debug({ path, error: errorMessage(error) }, 'the size of the store is not known')
      }
    },
  }
}

async function sizeOf(folder: string): Promise<number> {
  let size = 0
  for (const name of await readdir(folder)) {
    // A file may be gone since: LevelDB deletes what it has compacted.
    size += await stat(join(folder, name)).then(
      ({ size }) => size,
      () => 0,
    )
  }
  return size
}

/** Of LevelDB's table: level, files, size, seconds, MB read, MB written. */
export function compactionSeconds(stats: string): number {
  let seconds = 0
  for (const line of stats.split('\n')) {
    const row = /^\s*\d+\s+\d+\s+\d+\s+(\d+)\s+\d+\s+\d+\s*$/.exec(line)
    if (row !== null) seconds += Number(row[1])
  }
  return seconds
}
