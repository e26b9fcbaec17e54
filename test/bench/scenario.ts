/** What every scenario needs: its options, and figures out of what was measured. */
import { waitFor } from '@ipfs-cluster/testkit'
import type { InteropPeer, Kind } from '../interop/peers.ts'
import { pinnedOn, type Bed } from './bed.ts'
import type { Figure } from './figures.ts'
import { percentile, readListing, type LoadResult } from './http-load.ts'
import { cpuSeconds, peakResident, residentBytes } from './sample.ts'

export interface ScenarioOptions {
  readonly kind: Kind
  /** Pins of the large pinset; other sizes follow from it. */
  readonly pins: number
  /** Pins of all rounds of the churn. */
  readonly churn: number
  /** Idle time before memory at rest is looked at. */
  readonly restMs: number
}

/** Starts its own cluster and gives its figures; none when the implementation cannot do it. */
export type Scenario = (options: ScenarioOptions) => Promise<readonly Figure[]>

/** Time for so many pins to go wherever they are going: far more than any implementation needs. */
export const patience = (pins: number) => 300_000 + 5 * pins

/** What memory and disk are told in. */
export const MB = 1e6

export const CONNECTIONS = 32
/** A peer that takes less than this share of a core is at rest; one that pings others and its daemon takes some hundredths. */
const REST = { share: 0.1, lookMs: 2_000, mostMs: 1_800_000 }

export function firstPeer(bed: Bed): InteropPeer {
  const [peer] = bed.peers
  if (peer === undefined) throw new Error('the cluster has no peer')
  return peer
}

/** A number between `least` and `most`. */
export const bounded = (value: number, least: number, most: number) =>
  Math.round(Math.max(least, Math.min(most, value)))

/** @throws unless every answer is a success. */
export function accepted(result: LoadResult): number {
  const { 200: taken = 0, 202: later = 0, ...others } = result.answers
  if (Object.keys(others).length > 0)
    throw new Error(`not all were accepted: ${JSON.stringify(result.answers)}`)
  return taken + later
}

export function loadFigures(what: string, unit: string, result: LoadResult): Figure[] {
  return [
    { what, unit: `${unit}/s`, value: accepted(result) / result.seconds },
    { what: `${what}: p50`, unit: 'ms', value: percentile(result, 0.5) },
    { what: `${what}: p99`, unit: 'ms', value: percentile(result, 0.99) },
  ]
}

export interface Cost<T> {
  readonly result: T
  /** Of CPU that the peer used. */
  readonly cpu: number
  readonly peakBytes: number
  /** Of resident memory, from before it to its peak. */
  readonly grownBytes: number
}

/** What `work` costs the peer. */
export async function costOf<T>({ pid }: InteropPeer, work: () => Promise<T>): Promise<Cost<T>> {
  const [before, began] = [await residentBytes(pid), await cpuSeconds(pid)]
  const { result, peakBytes } = await peakResident(pid, work)
  return {
    result,
    peakBytes,
    grownBytes: Math.max(0, peakBytes - before),
    cpu: (await cpuSeconds(pid)) - began,
  }
}

export const cpuFigure = (what: string, cpu: number, pins: number): Figure => ({
  what: `${what}: CPU`,
  unit: 'ms / 1,000 pins',
  value: (cpu * 1000) / (pins / 1000),
})

/** Resolves when `pins` are pinned on the daemon of each peer. */
export async function pinnedEverywhere({ daemons }: Bed, pins: number, intervalMs = 100): Promise<void> {
  for (const daemon of daemons) {
    await waitFor(async () => (await pinnedOn(daemon)) >= pins, {
      timeoutMs: patience(pins),
      intervalMs,
      what: `${pins} pins on the daemon`,
    })
  }
}

/** Resident memory once the peer has had nothing to do for `restMs`: what requests, or its start, left behind is done, too. */
export async function idleMemory(what: string, peer: InteropPeer, restMs: number): Promise<Figure> {
  await rests(peer, restMs)
  return { what, unit: 'MB', value: (await residentBytes(peer.pid)) / MB }
}

async function rests({ pid, name }: InteropPeer, restMs: number): Promise<void> {
  let cpu = await cpuSeconds(pid)
  let restedMs = -REST.lookMs
  const hasRested = async () => {
    const before = cpu
    cpu = await cpuSeconds(pid)
    restedMs = cpu - before < REST.share * (REST.lookMs / 1000) ? restedMs + REST.lookMs : 0
    return restedMs >= restMs
  }
  await waitFor(hasRested, { timeoutMs: REST.mostMs, intervalMs: REST.lookMs, what: `${name} at rest` })
}

/** Resolves when the peer's listing has all there is. */
export async function listsAll(peer: InteropPeer, path: string, pins: number): Promise<void> {
  await waitFor(async () => (await readListing(peer.rest, path)).items === pins, {
    timeoutMs: patience(pins),
    intervalMs: 250,
    what: `${peer.name}: ${pins} pins of ${path}`,
  })
}
