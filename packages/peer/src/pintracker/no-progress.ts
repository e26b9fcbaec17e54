/** What the errors of a pin mean for it, and the words for content that nobody provides. */
import { formatByteSize } from '@ipfs-cluster/base'
import { IpfsError } from '../ipfsconn/index.ts'
import type { Operation } from './operations.ts'

/** Why a pin is stopped that stands aside when the room for such is needed. */
export class NoProgress extends Error {
  readonly silentMs: number
  constructor(silentMs: number) {
    super(`no progress for ${inSeconds(silentMs)}`)
    this.silentMs = silentMs
  }
}

/** Milliseconds without progress for which the connector has given up a pin; `undefined` for other errors. */
export function stalledMs(error: unknown): number | undefined {
  return error instanceof IpfsError &&
    error.data.code === 'IPFS_TIMEOUT' &&
    error.data.path.startsWith('pin/add')
    ? error.data.timeoutMs
    : undefined
}

/** The daemon says that it has too much to do (Too Many Requests, Service Unavailable). */
export function isOverload(error: unknown): boolean {
  if (!(error instanceof IpfsError) || error.data.code !== 'IPFS_REQUEST_FAILED') return false
  return error.data.status === 429 || error.data.status === 503
}

/** The daemon ended an answer in a way that may mean that it is going away. */
export function isBroken(error: unknown): boolean {
  if (!(error instanceof IpfsError) || error.data.code !== 'IPFS_REQUEST_FAILED') return false
  return error.data.broken === true || /context canceled|shutting down/.test(error.data.text)
}

/** Why a pin was given up that did not move. */
export function noProgressText({ progress }: Operation, silentMs: number): string {
  const blocks = progress?.latest.blocks ?? 0
  const bytes = progress?.latest.bytes ?? 0
  const rest = blocks === 0 && bytes === 0 ? 'the content' : 'the rest'
  const size = bytes === 0 ? '' : `, ${bytes < 1000 ? `${bytes} bytes` : formatByteSize(BigInt(bytes))}`
  return (
    `no progress for ${inSeconds(silentMs)} with ${blocks} blocks${size} so far: no peer that IPFS can reach seems to provide ${rest}; ` +
    'connect the daemon to one that has it'
  )
}

function inSeconds(ms: number): string {
  return `${ms < 10_000 ? (ms / 1000).toFixed(1) : Math.round(ms / 1000)} s`
}
