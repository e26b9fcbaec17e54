/** How answers are printed: the text layouts of Go's ctl to the byte, and their JSON documents. */
import * as api from '@ipfs-cluster/api'
import type { JsonCodec } from '@ipfs-cluster/api'
import { bytesText, relativeTime } from './humanize.ts'

/** What is needed to print a `T`. */
export interface Shape<T> {
  readonly json: Pick<JsonCodec<T>, 'stringify'>
  /** @param nowNs Unix nanoseconds. */
  readonly text: (value: T, nowNs: bigint) => string
}

export const idShape: Shape<api.ID> = { json: api.idCodec, text: idText }
export const statusShape: Shape<api.GlobalPinInfo> = { json: api.globalPinInfoCodec, text: statusText }
export const pinShape: Shape<api.Pin> = { json: api.pinCodec, text: pinText }
export const submittedPinShape: Shape<api.Pin> = { json: api.submittedPinCodec, text: pinText }
export const addedShape: Shape<api.AddedOutput> = { json: api.addedOutputCodec, text: addedText }
export const addedQuietShape: Shape<api.AddedOutput> = { json: api.addedOutputCodec, text: addedQuietText }
export const versionShape: Shape<api.Version> = {
  json: api.versionCodec,
  text: ({ version }) => `${version}\n`,
}
export const bandwidthShape: Shape<Readonly<Record<string, api.Bandwidth>> | null> = {
  json: api.bandwidthCodec,
  text: bandwidthText,
}
export const repoGCShape: Shape<api.GlobalRepoGC> = { json: api.globalRepoGCCodec, text: repoGCText }
export const metricNamesShape: Shape<readonly string[]> = {
  json: api.metricNamesCodec,
  text: names => names.map(name => `${name}\n`).join(''),
}
export const metricsShape: Shape<readonly api.Metric[]> = {
  json: api.metricsCodec,
  text: (metrics, now) => metrics.map(metric => metricText(metric, now)).join(''),
}
export const alertsShape: Shape<readonly api.Alert[]> = {
  json: api.alertsCodec,
  text: (alerts, now) => alerts.map(alert => alertText(alert, now)).join(''),
}

/** A list of what `shape` prints: its items' lines, or one JSON list. */
export function addedListShape(shape: Shape<api.AddedOutput>): Shape<readonly api.AddedOutput[]> {
  return {
    json: api.addedOutputsCodec,
    text: (items, now) => items.map(item => shape.text(item, now)).join(''),
  }
}

export const errorShape: Shape<api.ErrorBody> = {
  json: api.errorCodec,
  text: ({ code, message }) => `An error occurred:\n  Code: ${code}\n  Message: ${message}\n`,
}

function idText(id: api.ID): string {
  if (id.error !== '') return `${id.id} | ERROR: ${id.error}\n`
  const head = `${id.id} | ${id.peername} | Sees ${id.clusterPeers.length - 1} other peers\n`
  const addresses = `  > Addresses:\n${itemLines(id.addresses.toSorted())}`
  if (id.ipfs.error !== '') return `${head}${addresses}  > IPFS ERROR: ${id.ipfs.error}\n`
  return `${head}${addresses}  > IPFS: ${id.ipfs.id}\n${itemLines(id.ipfs.addresses.toSorted())}`
}

function itemLines(items: readonly string[]): string {
  return items.map(item => `    - ${item}\n`).join('')
}

function statusText(info: api.GlobalPinInfo): string {
  const name = info.name === '' ? '' : ` | ${info.name}`
  let out = `${api.cidText(info.cid)}${name}:\n`
  for (const [peer, entry] of sortedEntries(info.peerMap)) {
    const status = api.trackerStatusText(entry.status).toUpperCase()
    const error = entry.error === '' ? '' : `: ${entry.error}`
    out +=
      `    > ${pad(entry.peerName === '' ? peer : entry.peerName, 20)} : ${status}${error} | ${api.formatTime(entry.ts)}` +
      ` | Attempts: ${entry.attemptCount} | Priority: ${entry.priorityPin}${sizeText(entry.size)}${progressText(entry)}\n`
  }
  return out + shardsText(info)
}

/** Not of Go: how the shards of a root do. */
function shardsText({ shards }: api.GlobalPinInfo): string {
  if (shards === undefined) return ''
  const { total, pinned, pinning, error, problems } = shards
  const counts = [`${pinned} pinned`, `${pinning} pinning`, `${error} error`].join(', ')
  const lines = problems.map(problem => `      - ${api.cidText(problem.cid)}: ${problem.error}\n`)
  return `    > Shards: ${total} | ${counts}\n${lines.join('')}`
}

/** Not of Go: a column more where the peer tells. */
function sizeText(size: bigint | undefined): string {
  return size === undefined ? '' : ` | Size: ${bytesText(size)}`
}

/** `45% of 10 GB, 12 MB/s`, or what has come so far where nobody knows the whole. */
function progressText({ progress }: api.PinInfoShort): string {
  if (progress === undefined) return ''
  const { blocks, bytes, totalBytes = 0n, bytesPerSecond } = progress
  const rate = bytesPerSecond > 0 ? `, ${bytesText(BigInt(Math.round(bytesPerSecond)))}/s` : ''
  if (bytes === 0n) return ` | Progress: ${blocks} blocks`
  // Some of its blocks may be in it more than once, or somebody was wrong about the whole.
  const percent = totalBytes === 0n ? 0n : (bytes * 100n) / totalBytes
  if (totalBytes === 0n || percent > 100n) return ` | Progress: ${bytesText(bytes)}, ${blocks} blocks${rate}`
  return ` | Progress: ${percent}% of ${bytesText(totalBytes)}${rate}`
}

function pinText(pin: api.Pin): string {
  const type = pin.type.toUpperCase() + (pin.mode === 'direct' ? '-DIRECT' : '')
  const replication = api.isPinEverywhere(pin)
    ? '-1 | Allocations: [everywhere]'
    : `${pin.replicationFactorMin}--${pin.replicationFactorMax} | Allocations: [${pin.allocations.toSorted().join(' ')}]`
  const depth =
    pin.maxDepth === 0 ? 'Direct' : pin.maxDepth === -1 ? 'Recursive' : `Recursive-${pin.maxDepth}`
  const metadata = Object.keys(pin.metadata).length === 0 ? 'no' : 'yes'
  return (
    `${api.cidText(pin.cid)} | ${pin.name} | ${type} | Repl. Factor: ${replication} | ${depth} | Metadata: ${metadata}` +
    ` | Exp: ${dateText(pin.expireAt, '∞')} | Added: ${dateText(pin.timestamp, 'unknown')}${sizeText(pin.size)}${limitText(pin)}\n`
  )
}

function limitText({ maxPinSize = 0n }: api.Pin): string {
  return maxPinSize === 0n ? '' : ` | Max. Size: ${bytesText(maxPinSize)}`
}

/** UTC, whole seconds. */
function dateText(time: api.Time, none: string): string {
  return time === null ? none : api.formatTime(time).slice(0, 19).replace('T', ' ')
}

function addedText(added: api.AddedOutput): string {
  return `added ${addedCid(added)} ${added.name}\n`
}

function addedQuietText(added: api.AddedOutput): string {
  return `${addedCid(added)}\n`
}

function addedCid({ cid }: api.AddedOutput): string {
  return cid === null ? '' : api.cidText(cid)
}

function metricText(metric: api.Metric, now: bigint): string {
  const readable = metric.name === 'freespace' && metric.weight > 0n
  const value = readable ? bytesText(metric.weight) : metric.value
  return `${metric.peer} | ${metric.name}: ${value} | Expires in: ${relativeTime(metric.expire, now)}\n`
}

function alertText(alert: api.Alert, now: bigint): string {
  const triggered = alert.triggeredAt === null ? 'a long while ago' : relativeTime(alert.triggeredAt, now)
  const expired = relativeTime(alert.expire, now)
  return `${alert.peer}: ${alert.name}. Expired at: ${expired}. Triggered at: ${triggered}\n`
}

function bandwidthText(bandwidth: Readonly<Record<string, api.Bandwidth>> | null): string {
  return sortedEntries(bandwidth ?? {})
    .map(([protocol, { totalIn, totalOut, rateIn, rateOut }]) => {
      const [sizeIn, sizeOut] = [totalIn, totalOut].map(size => bytesText(size).padStart(7))
      const rates = `RateIn: ${rateIn.toFixed(2)}B/s. RateOut: ${rateOut.toFixed(2)}B/s`
      return `${padStart(protocol, 25)}: In: ${sizeIn}. Out: ${sizeOut}. ${rates}\n`
    })
    .join('')
}

function repoGCText({ peerMap }: api.GlobalRepoGC): string {
  return sortedEntries(peerMap)
    .map(([peer, { peername, error, keys }]) => {
      const name = pad(peername === '' ? peer : peername, 15)
      const items = keys.map(({ key, error }) =>
        error !== '' || key === null ? `ERROR: ${error}` : api.cidText(key),
      )
      return `${name}${error === '' ? '' : ` | ERROR: ${error}`}\n  > CIDs:\n${itemLines(items)}`
    })
    .join('')
}

function sortedEntries<T>(record: Readonly<Record<string, T>>): [string, T][] {
  return Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1))
}

/** Go pads by characters, where JavaScript counts UTF-16 units. */
function pad(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - [...text].length))
}

function padStart(text: string, width: number): string {
  return ' '.repeat(Math.max(0, width - [...text].length)) + text
}
