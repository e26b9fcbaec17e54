/**
 * How fast the tracker completes pins and how fast its table is. Run: `node packages/peer/src/pintracker/pintracker.bench.ts`.
 * Bar: against a daemon that takes 50 ms a pin, 10 workers complete more than 97 % of the possible 200/s.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cidText, newPin, TRACKER_STATUS } from '@ipfs-cluster/api'
import { systemClock, type Store } from '@ipfs-cluster/base'
import { openLevelStore } from '@ipfs-cluster/base/level-store'
import { waitFor } from '@ipfs-cluster/testkit'
import { createFakePinset, herePin, OTHER, startTracker, testCid } from './test-world.ts'

type Daemon = Parameters<typeof startTracker>[0]['daemon']

function report(what: string, count: number, ms: number, unit = 'pins'): number {
  const rate = (count / ms) * 1000
  console.log(
    `${what.padEnd(52)} ${rate.toFixed(0).padStart(9)} ${unit}/s   (${count} in ${ms.toFixed(0)} ms)`,
  )
  return rate
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await work()
  return performance.now() - start
}

/** A daemon that pins after `delayMs` (0: at once; undefined: never). */
function daemonOf(delayMs: number | undefined): Daemon & { readonly pinned: Set<string> } {
  const pinned = new Set<string>()
  return {
    pinned,
    ipfs: {
      async pin(pin, { signal } = {}) {
        if (delayMs === undefined) {
          await new Promise((_resolve, reject) =>
            signal?.addEventListener('abort', () => reject(signal.reason)),
          )
        } else if (delayMs > 0) await systemClock.sleep(delayMs, signal === undefined ? {} : { signal })
        pinned.add(cidText(pin.cid))
      },
      async unpin(cid) {
        pinned.delete(cidText(cid))
      },
      async *pinLs() {
        for (const n of pinned.keys())
          yield { cid: cidOfText.get(n) ?? testCid(0), type: 'recursive' as const }
      },
      pinLsCid: () => Promise.resolve('recursive'),
    },
  }
}

const cidOfText = new Map<string, ReturnType<typeof testCid>>()

async function withStore(work: (store: Store) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'tracker-bench-'))
  try {
    await using store = await openLevelStore(folder)
    await work(store)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function pins(count: number, fields = {}) {
  return Array.from({ length: count }, (_, n) => newPin(testCid(n), herePin(systemClock, fields)))
}

async function completing(delayMs: number, count: number): Promise<void> {
  await withStore(async store => {
    const pinset = createFakePinset(() => store)
    const daemon = daemonOf(delayMs)
    await pinset.put(...pins(count))
    let ms = 0
    const start = performance.now()
    await using tracker = await startTracker({ store, clock: systemClock, daemon, pinset })
    await waitFor(() => daemon.pinned.size === count, { intervalMs: 2, timeoutMs: 600_000 })
    ms = performance.now() - start
    const rate = report(`pins completed, daemon of ${delayMs} ms, 10 workers`, count, ms)
    if (delayMs > 0) {
      const possible = (10 / delayMs) * 1000
      console.log(`  ${((rate / possible) * 100).toFixed(1)} % of the possible ${possible}/s`)
    }
    await waitFor(() => tracker.stats().counts['pinned'] === count, { intervalMs: 1 })
  })
}

async function table(count: number): Promise<void> {
  await withStore(async store => {
    const pinset = createFakePinset(() => store)
    const clock = systemClock
    const idle = daemonOf(undefined)
    await pinset.put(...pins(count))
    {
      await using tracker = await startTracker({ store, clock, daemon: idle, pinset })
      const ms = await timed(() =>
        waitFor(() => tracker.stats().counts['pin_queued'] === count, { intervalMs: 2, timeoutMs: 600_000 }),
      )
      report('changes taken from the outbox and queued', count, ms)
      report('listing, all queued', count, await timed(() => Array.fromAsync(tracker.statusAll(0))))
    }
    const daemon = daemonOf(0)
    for (const pin of pinset.pins.values()) cidOfText.set(cidText(pin.cid), pin.cid)
    let opening = 0
    {
      const start = performance.now()
      await using tracker = await startTracker({ store, clock, daemon, pinset })
      opening = performance.now() - start
      console.log(`opening with ${count} queued pins${''.padEnd(25)} ${opening.toFixed(1).padStart(9)} ms`)
      await waitFor(() => tracker.stats().counts['pinned'] === count, { intervalMs: 2, timeoutMs: 600_000 })
      report('listing, all pinned', count, await timed(() => Array.fromAsync(tracker.statusAll(0))))
      const empty = await timed(() => Array.fromAsync(tracker.statusAll(TRACKER_STATUS.error)))
      console.log(`listing of errors, none of ${count}${''.padEnd(26)} ${empty.toFixed(2).padStart(9)} ms`)
      await clock.sleep(2)
      report('audit, nothing lost', count, await timed(() => tracker.audit()))
      const ones = Array.from({ length: 20_000 }, (_, n) => testCid(n * 3))
      report(
        'status of one CID, daemon at once',
        ones.length,
        await timed(async () => {
          for (const cid of ones) await tracker.status(cid)
        }),
        'calls',
      )
      daemon.pinned.clear()
      await pinset.put(...pins(count, { allocations: [OTHER] }))
      const gone = await timed(() =>
        waitFor(() => tracker.stats().counts['remote'] === count, { intervalMs: 2, timeoutMs: 600_000 }),
      )
      report('pins moved to another peer', count, gone)
    }
  })
}

await completing(0, 50_000)
await completing(50, 2_000)
await table(100_000)
