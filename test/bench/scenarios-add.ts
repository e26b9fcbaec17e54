/** Content that is added: through one peer and through three that all keep it, and through a daemon alone. */
import { kuboBinary, startRealKubo } from '@ipfs-cluster/testkit'
import { startBed, type BedOptions } from './bed.ts'
import type { Figure } from './figures.ts'
import { touchFreeMemory } from './free-memory.ts'
import { addFiles, bigCar, bigFile, smallFiles, type Files } from './http-add.ts'
import { cpuSeconds, forgetPeak, peakBytes } from './sample.ts'
import { bounded, firstPeer, MB, type Scenario, type ScenarioOptions } from './scenario.ts'

interface Upload {
  readonly what: string
  readonly files: Files
  /** Of a request to a peer, and to a daemon alone. */
  readonly path: string
  readonly daemonPath: string
}

/** Seed of content that is not among what counts. */
const OTHER = 1_000_000

/** A file and a CAR of 256 MiB, and 2,000 small files, at 102,400 pins; before them a little of each, so that none that counts is the first. */
function uploadsOf({ pins }: ScenarioOptions) {
  const size = bounded(pins / 400, 4, 256)
  const all = (file: Files, small: Files, car: Files): readonly Upload[] => [
    { what: 'one file', files: file, path: '/add', daemonPath: '/add?pin=true' },
    { what: 'files of 4 KiB', files: small, path: '/add', daemonPath: '/add?pin=true' },
    { what: 'one CAR', files: car, path: '/add?format=car', daemonPath: '/dag/import' },
  ]
  return {
    before: all(bigFile(16, OTHER), smallFiles(1_000, OTHER), bigCar(16, 2 * OTHER)),
    counted: all(bigFile(size), smallFiles(bounded(pins / 50, 100, 2_000)), bigCar(size)),
  }
}

interface Place {
  readonly where: string
  readonly url: string
  readonly peers: readonly number[]
  readonly daemons: readonly number[]
}

async function measure(
  { before, counted }: ReturnType<typeof uploadsOf>,
  place: Place,
  pathOf: (upload: Upload) => string,
): Promise<Figure[]> {
  for (const upload of before) await addFiles(place.url + pathOf(upload), upload.files)
  const figures: Figure[] = []
  for (const upload of counted) {
    const { what, files } = upload
    const processes = [...place.peers, ...place.daemons]
    await touchFreeMemory()
    await Promise.all(processes.map(forgetPeak))
    const used = await usedBy(place)
    const seconds = await addFiles(place.url + pathOf(upload), files)
    const after = await usedBy(place)
    const name = `add, ${what}, ${place.where}`
    figures.push(
      files.count === 1
        ? { what: name, unit: 'MB/s', value: files.bytes / MB / seconds }
        : { what: name, unit: 'files/s', value: files.count / seconds },
    )
    for (const kind of ['peers', 'daemons'] as const) {
      if (place[kind].length === 0) continue
      const peaks = await Promise.all(place[kind].map(peakBytes))
      figures.push(
        { what: `${name}: CPU of ${kind}`, unit: 's', value: after[kind] - used[kind] },
        { what: `${name}: peak memory of ${kind}, most`, unit: 'MB', value: Math.max(...peaks) / MB },
      )
    }
  }
  return figures
}

async function usedBy(place: Place): Promise<Record<'peers' | 'daemons', number>> {
  const sum = async (pids: readonly number[]) =>
    (await Promise.all(pids.map(cpuSeconds))).reduce((total, seconds) => total + seconds, 0)
  return { peers: await sum(place.peers), daemons: await sum(place.daemons) }
}

async function throughPeers(
  options: ScenarioOptions,
  where: string,
  bedOptions: Omit<BedOptions, 'kind'>,
): Promise<Figure[]> {
  const { kind } = options
  const { daemon, peers = 1 } = bedOptions
  if (daemon === 'embedded' ? kind === 'go' : daemon === 'kubo' && kuboBinary === undefined) return []
  await using bed = await startBed({
    kind,
    ...bedOptions,
    edit: config => {
      config.cluster.replication_factor_min = peers
      config.cluster.replication_factor_max = peers
    },
  })
  const place = {
    where,
    url: firstPeer(bed).rest,
    peers: bed.peers.map(({ pid }) => pid),
    daemons: bed.daemonPids,
  }
  return await measure(uploadsOf(options), place, ({ path }) => path)
}

const addOne: Scenario = options => throughPeers(options, 'built-in node', { daemon: 'embedded' })
const addKubo: Scenario = options => throughPeers(options, 'Kubo', { daemon: 'kubo' })
const addThree: Scenario = options =>
  throughPeers(options, 'three peers, built-in nodes', { peers: 3, daemon: 'embedded' })
const addThreeKubo: Scenario = options =>
  throughPeers(options, 'three peers, Kubo', { peers: 3, daemon: 'kubo' })

/** The daemon without a peer: what there is to be reached. Asked by one column alone. */
const addDaemon: Scenario = async options => {
  if (kuboBinary === undefined || options.kind === 'go') return []
  await using kubo = await startRealKubo(kuboBinary)
  const port = /\/tcp\/(\d+)/.exec(kubo.api)?.[1]
  const place = {
    where: 'Kubo without a peer',
    url: `http://127.0.0.1:${port}/api/v0`,
    peers: [],
    daemons: [kubo.pid],
  }
  return await measure(uploadsOf(options), place, ({ daemonPath }) => daemonPath)
}

const ALL: readonly Scenario[] = [addOne, addKubo, addDaemon, addThree, addThreeKubo]

const add: Scenario = async options => {
  const figures: Figure[] = []
  for (const scenario of ALL) figures.push(...(await scenario(options)))
  return figures
}

export const ADD_SCENARIOS = { add, addOne, addKubo, addDaemon, addThree, addThreeKubo } satisfies Record<
  string,
  Scenario
>
