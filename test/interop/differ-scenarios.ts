/** In which states the implementations are compared. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { waitFor } from '@ipfs-cluster/testkit'
import { addCases, seedCases, shardCases } from './differ-cases-add.ts'
import { authCases, credentials } from './differ-cases-auth.ts'
import { pathCases } from './differ-cases-paths.ts'
import { gcCases, pinCases } from './differ-cases-pin.ts'
import { peerCases, readCases } from './differ-cases-read.ts'
import {
  aloneCases,
  downCases,
  followerCases,
  gonePins,
  silentCases,
  togetherCases,
  unreachableCases,
} from './differ-cases-trouble.ts'
import { ask, cidOf, type DifferCase } from './differ-case.ts'
import type { Difference } from './differ-compare.ts'
import { runCases, type RunOptions, type Sides } from './differ-run.ts'
import { startSide, type Side, type SideOptions } from './differ-world.ts'
import type { Json } from './peers.ts'

export interface Result {
  readonly requests: number
  readonly differences: readonly Difference[]
}

export interface Scenario {
  readonly name: string
  run(): Promise<Result>
}

const emptyCases = [ask('GET', '/pins', { note: 'empty' }), ask('GET', '/allocations', { note: 'empty' })]
/** What the states with trouble begin with. */
const somePins = [1, 2, 3].map(n => ask('POST', `/pins/${cidOf(n)}?name=pin${n}`))
const ALERT_MS = 90_000

export const SCENARIOS: readonly Scenario[] = [
  alone('pins', [...emptyCases, ...pinCases, ...readCases, ...gcCases]),
  alone('http', [...pathCases, ...peerCases]),
  alone('adds', [...addCases, ...shardCases]),
  scenario('two', { peers: 2, edit: slowPings }, async (sides, run) => {
    await run(seedCases)
    await run(togetherCases)
    for (const side of [sides.go, sides.ours]) await side.peers[1]?.kill9()
    await run(unreachableCases, { settle: false })
    await waitFor(async () => (await alerts(sides.go)) && (await alerts(sides.ours)), {
      timeoutMs: ALERT_MS,
      intervalMs: 500,
      what: 'an alert on both sides',
    })
    await run(gonePins, { settle: false })
  }),
  scenario('IPFS down', { peers: 1 }, async (sides, run) => {
    await run([...seedCases, ...somePins])
    await setGates(sides, 'shut')
    await run(downCases, { settle: false })
    await setGates(sides, 'open')
    await run(aloneCases)
  }),
  scenario('IPFS silent', { peers: 1, edit: shortTimeouts }, async (sides, run) => {
    await run([...seedCases, ...somePins])
    await setGates(sides, 'silent')
    await run(silentCases, { settle: false })
  }),
  scenario('follower', { peers: 1 }, async (sides, run) => {
    await run([...seedCases, ...somePins])
    await restartWith(sides, config => {
      config.cluster.follower_mode = true
    })
    await run(followerCases)
  }),
  scenario('credentials', { peers: 1, edit: customHeaders }, async (sides, run) => {
    await restartWith(
      sides,
      config => {
        config.api.restapi.basic_auth_credentials = credentials
      },
      '/health',
    )
    await run(authCases, { settle: false })
  }),
]

function alone(name: string, cases: readonly DifferCase[]): Scenario {
  return scenario(name, { peers: 1, edit: customHeaders }, async (_sides, run) => {
    await run(seedCases)
    await run(cases)
  })
}

type Run = (cases: readonly DifferCase[], options?: Partial<RunOptions>) => Promise<void>

function scenario(
  name: string,
  options: SideOptions,
  body: (sides: Sides, run: Run) => Promise<void>,
): Scenario {
  return {
    name,
    async run() {
      const differences: Difference[] = []
      let requests = 0
      await using go = await startSide('go', options)
      await using ours = await startSide('ts', options)
      await body({ go, ours }, async (cases, more) => {
        requests += cases.length
        differences.push(...(await runCases({ go, ours }, cases, { scenario: name, ...more })))
      })
      return { requests, differences }
    },
  }
}

function customHeaders(config: Json): void {
  config.api.restapi.headers = { 'X-Own': ['a', 'b'] }
}

/** A peer that is gone stays a member for this long: time for requests that do not reach it. The daemons connect early. */
function slowPings(config: Json): void {
  config.cluster.monitor_ping_interval = '20s'
  config.ipfs_connector.ipfshttp.connect_swarms_delay = '1s'
}

function shortTimeouts(config: Json): void {
  Object.assign(config.ipfs_connector.ipfshttp, {
    ipfs_request_timeout: '2s',
    pin_timeout: '2s',
    unpin_timeout: '2s',
    repogc_timeout: '2s',
  })
}

async function setGates({ go, ours }: Sides, state: 'open' | 'shut' | 'silent'): Promise<void> {
  for (const gate of [...go.gates, ...ours.gates]) await gate.set(state)
}

async function alerts(side: Side): Promise<boolean> {
  return ((await side.peers[0]?.json('/health/alerts')) ?? []).length > 0
}

async function restartWith(
  { go, ours }: Sides,
  edit: (config: Json) => void,
  readyPath?: string,
): Promise<void> {
  for (const peer of [...go.peers, ...ours.peers]) {
    await peer.stop()
    const path = join(peer.folder, 'service.json')
    const config = JSON.parse(await readFile(path, 'utf8'))
    edit(config)
    await writeFile(path, JSON.stringify(config))
    await peer.start([], readyPath)
  }
}
