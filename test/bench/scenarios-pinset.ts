/** One large pinset: what it costs, how it is listed and asked for, alone and while pins come in, and a restart. */
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { waitFor } from '@ipfs-cluster/testkit'
import type { InteropPeer } from '../interop/peers.ts'
import { benchCid, pinPath, pinPaths, startBed, type Bed } from './bed.ts'
import { HELD_SERIES } from './cids.ts'
import { median, type Figure } from './figures.ts'
import { load, percentile, readListing, type LoadResult } from './http-load.ts'
import { diskBytes } from './sample.ts'
import {
  accepted,
  bounded,
  CONNECTIONS,
  costOf,
  cpuFigure,
  firstPeer,
  idleMemory,
  listsAll,
  loadFigures,
  MB,
  pinnedEverywhere,
  patience,
  type Scenario,
} from './scenario.ts'

const LISTINGS = 3
/** Pins of every hundredth have this name. */
const RARE = 'rare'
const ERRORS = 3

/** Every hundredth pin has a name to be found by. */
function* namedPaths(pins: number): Generator<string> {
  let index = 0
  for (const path of pinPaths('set', pins)) {
    yield `${path}?name=${index % 100 === 0 ? `${RARE}-${index}` : `part-${index}`}`
    index++
  }
}

const pinset: Scenario = async ({ kind, pins, restMs }) => {
  await using bed = await startBed({ kind, batching: true })
  const peer = firstPeer(bed)
  const figures: Figure[] = []
  const what = 'filling a large pinset'
  const { cpu, peakBytes } = await costOf(peer, async () => {
    const result = await load(peer.rest, namedPaths(pins), { connections: CONNECTIONS, method: 'POST' })
    const began = performance.now()
    await pinnedEverywhere(bed, pins)
    const drained = result.seconds + (performance.now() - began) / 1000
    figures.push(...loadFigures(what, 'pins', result), {
      what: `${what}: pinned on the daemon`,
      unit: 'pins/s',
      value: pins / drained,
    })
  })
  figures.push(
    cpuFigure(what, cpu, pins),
    { what: `${what}: peak memory`, unit: 'MB', value: peakBytes / MB },
    await idleMemory('memory, idle after ingest', peer, restMs),
    { what: 'disk', unit: 'B / pin', value: (await diskBytes(peer.folder)) / pins },
    ...(await listings(peer, pins)),
    ...(await filtered(peer, pins)),
    ...(await status('GET /pins/{cid}', peer, pins)),
    ...(await whileIngesting(peer, pins)),
    ...(await errors(bed, pins)),
  )
  await settled(bed, pins)
  figures.push(...(await restart(peer, restMs)))
  return figures
}

async function listings(peer: InteropPeer, pins: number): Promise<Figure[]> {
  const figures: Figure[] = []
  for (const [what, path] of [
    ['GET /allocations', '/allocations'],
    ['GET /pins?local=true', '/pins?local=true'],
    ['GET /pins, one peer', '/pins'],
  ] as const) {
    await listsAll(peer, path, pins)
    const { result, grownBytes, cpu } = await costOf(peer, () => several(peer, path, pins))
    figures.push(
      { what, unit: 'pins/s', value: median(result.map(({ items, seconds }) => items / seconds)) },
      {
        what: `${what}: first byte`,
        unit: 'ms',
        value: median(result.map(({ firstByteMs }) => firstByteMs)),
      },
      { what: `${what}: memory growth`, unit: 'MB', value: grownBytes / MB },
      cpuFigure(what, cpu, pins * LISTINGS),
    )
  }
  return figures
}

async function several(peer: InteropPeer, path: string, pins: number) {
  const found = []
  for (let i = 0; i < LISTINGS; i++) {
    const listing = await readListing(peer.rest, path)
    if (listing.items !== pins) throw new Error(`${path} lists ${listing.items} of ${pins}`)
    found.push(listing)
  }
  return found
}

/** Ours alone: Go ignores these parameters. */
async function filtered(peer: InteropPeer, pins: number): Promise<Figure[]> {
  if (peer.kind === 'go') return []
  const figures: Figure[] = []
  for (const [what, query, expected] of [
    ['listing by prefix of the name, 1 %', `name=${RARE}-&match=prefix`, Math.ceil(pins / 100)],
    ['listing by part of the name, 1 %', `name=${RARE}&match=partial`, Math.ceil(pins / 100)],
    ['listing by exact name, one', `name=${RARE}-0`, 1],
    ['listing, 100 pins', 'limit=100', Math.min(pins, 100)],
  ] as const) {
    const took: number[] = []
    for (let i = 0; i < LISTINGS; i++) {
      const { items, seconds } = await readListing(peer.rest, `/allocations?${query}`)
      if (items !== expected) throw new Error(`/allocations?${query} lists ${items}, not ${expected}`)
      took.push(seconds * 1000)
    }
    figures.push({ what, unit: 'ms', value: median(took) })
  }
  return figures
}

async function status(what: string, peer: InteropPeer, pins: number): Promise<Figure[]> {
  const count = bounded(pins / 5, 500, 20_000)
  const { result } = await costOf(peer, () => askStatus(peer, pins, count))
  return loadFigures(`${what}, ${CONNECTIONS} connections`, 'requests', result)
}

function askStatus(peer: InteropPeer, pins: number, count: number): Promise<LoadResult> {
  const some = function* () {
    for (let i = 0; i < count; i++) yield pinPath('set', (i * 7919) % pins)
  }
  return load(peer.rest, some(), { connections: CONNECTIONS, method: 'GET' })
}

/** Pins come in over 32 connections: alone, then beside a listing, then beside questions about single pins. */
async function whileIngesting(peer: InteropPeer, pins: number): Promise<Figure[]> {
  let round = 0
  const ingestWhile = async <T>(work: () => Promise<T>) => {
    const ended = new AbortController()
    const paths = pinPaths(`beside ${round++}`, Number.MAX_SAFE_INTEGER)
    const loading = load(peer.rest, paths, {
      connections: CONNECTIONS,
      method: 'POST',
      signal: ended.signal,
    })
    try {
      const done = await work()
      ended.abort()
      return { done, ingest: await loading }
    } finally {
      ended.abort()
      await loading.catch(() => undefined)
    }
  }
  const seconds = bounded(pins / 20_000, 1, 5)
  const alone = await ingestWhile(() => sleep(seconds * 1000))
  const perSecond = (result: LoadResult) => accepted(result) / result.seconds
  const listing = await ingestWhile(async () => {
    const began = performance.now()
    const rates: number[] = []
    do {
      const { items, seconds } = await readListing(peer.rest, '/allocations')
      rates.push(items / seconds)
    } while (performance.now() - began < seconds * 1000)
    return median(rates)
  })
  const asking = await ingestWhile(() => askStatus(peer, pins, bounded(pins / 5, 500, 20_000)))
  return [
    { what: 'GET /allocations during ingest', unit: 'pins/s', value: listing.done },
    {
      what: 'ingest during GET /allocations, of its speed alone',
      unit: '%',
      value: (100 * perSecond(listing.ingest)) / perSecond(alone.ingest),
    },
    ...loadFigures(`GET /pins/{cid} during ingest, ${CONNECTIONS} connections`, 'requests', asking.done),
    { what: 'ingest beside it', unit: 'pins/s', value: perSecond(asking.ingest) },
  ]
}

/** Three pins that fail among all the others. */
async function errors(bed: Bed, pins: number): Promise<Figure[]> {
  const peer = firstPeer(bed)
  const cids = Array.from({ length: ERRORS }, (_, i) => benchCid('bad', i))
  const toggle = () => Promise.all(cids.map(cid => fetch(`${bed.daemons[0]}/bench/fail?arg=${cid}`)))
  await toggle()
  await load(
    peer.rest,
    cids.map(cid => `/pins/${cid}`),
    { connections: 1, method: 'POST' },
  )
  const path = '/pins?local=true&filter=error'
  await waitFor(async () => (await readListing(peer.rest, path)).items === ERRORS, {
    timeoutMs: patience(pins),
    intervalMs: 100,
    what: `${ERRORS} pins in error`,
  })
  const asked = await load(peer.rest, Array<string>(50).fill(path), { connections: 1, method: 'GET' })
  const everywhere = await load(peer.rest, Array<string>(50).fill('/pins?filter=error'), {
    connections: 1,
    method: 'GET',
  })
  await toggle()
  return [
    { what: `filter=error, local, ${ERRORS} errors`, unit: 'ms', value: percentile(asked, 0.5) },
    { what: `filter=error, all peers, ${ERRORS} errors`, unit: 'ms', value: percentile(everywhere, 0.5) },
  ]
}

/** Resolves when the tracker has nothing left to do, errors included. */
async function settled(bed: Bed, pins: number): Promise<void> {
  const peer = firstPeer(bed)
  await peer.list('/pins/recover?local=true', 'POST')
  for (const filter of ['queued', 'pinning', 'error']) {
    await waitFor(
      async () => (await readListing(peer.rest, `/pins?local=true&filter=${filter}`)).items === 0,
      {
        timeoutMs: patience(pins),
        intervalMs: 200,
        what: `nothing ${filter}`,
      },
    )
  }
}

async function restart(peer: InteropPeer, restMs: number): Promise<Figure[]> {
  const stopping = performance.now()
  await peer.stop()
  const stopped = performance.now()
  await peer.start()
  const answering = performance.now()
  const idle = await idleMemory('memory, idle after a restart', peer, restMs)
  const recovering = performance.now()
  await peer.list('/pins/recover?local=true', 'POST')
  const recovered = performance.now()
  const { firstByteMs, items } = await readListing(peer.rest, '/allocations')
  return [
    { what: 'stop', unit: 'ms', value: stopped - stopping },
    { what: 'start until REST answers', unit: 'ms', value: answering - stopped },
    idle,
    { what: 'recover with nothing to do', unit: 'ms', value: recovered - recovering },
    { what: 'first listing after a restart: first byte', unit: 'ms', value: firstByteMs },
    { what: 'disk after a restart', unit: 'B / pin', value: (await diskBytes(peer.folder)) / items },
  ]
}

/** A pinset brought in by `state import`, of what the daemon has: how somebody moves here, and the quick way to one of ten millions. */
const imported: Scenario = async ({ kind, pins, restMs }) => {
  await using bed = await startBed({ kind, heldPins: pins })
  const peer = firstPeer(bed)
  await peer.stop()
  const file = join(peer.folder, 'pins.json')
  await writeFile(file, stateLines(pins))
  const made = performance.now()
  const { code, stderr } = await peer.run(['state', 'import', '-f', file])
  if (code !== 0) throw new Error(`state import: ${stderr}`)
  const done = performance.now()
  await rm(file)
  await peer.start()
  const answering = performance.now()
  const { peakBytes, cpu } = await costOf(peer, () => allPinned(peer, pins))
  const pinned = performance.now()
  return [
    { what: 'state import', unit: 'pins/s', value: pins / ((done - made) / 1000) },
    { what: 'state import: first start until REST answers', unit: 'ms', value: answering - done },
    {
      what: 'state import: then found on the daemon',
      unit: 'pins/s',
      value: pins / ((pinned - answering) / 1000),
    },
    cpuFigure('state import: found', cpu, pins),
    { what: 'state import: peak memory while finding', unit: 'MB', value: peakBytes / MB },
    ...(await restart(peer, restMs)),
    ...(await listings(peer, pins)),
    ...(await status('GET /pins/{cid}', peer, pins)),
    await idleMemory('memory, idle after listings', peer, restMs),
  ]
}

/** Resolves when the peer takes everything for pinned. */
async function allPinned(peer: InteropPeer, pins: number): Promise<void> {
  for (const filter of ['queued', 'pinning', 'error']) {
    const path = `/pins?local=true&filter=${filter}&limit=1`
    await waitFor(async () => (await readListing(peer.rest, path)).items === 0, {
      timeoutMs: patience(pins),
      intervalMs: 1_000,
      what: `nothing ${filter}`,
    })
  }
  await listsAll(peer, '/pins?local=true&filter=pinned', pins)
}

/** As `state export` writes them. */
function* stateLines(pins: number): Generator<string> {
  let lines = ''
  for (let i = 0; i < pins; i++) {
    lines += `{"replication_factor_min":-1,"replication_factor_max":-1,"name":"part-${i}","mode":"recursive","shard_size":0,"user_allocations":null,"expire_at":"0001-01-01T00:00:00Z","metadata":null,"pin_update":null,"origins":null,"cid":"${benchCid(HELD_SERIES, i)}","type":"pin","allocations":[],"max_depth":-1,"reference":null,"timestamp":"2026-01-02T03:04:05Z"}\n`
    if (i % 1000 < 999) continue
    yield lines
    lines = ''
  }
  yield lines
}

export const PINSET_SCENARIOS = { pinset, imported } satisfies Record<string, Scenario>
