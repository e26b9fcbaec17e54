/** Pins and unpins at full speed against one peer, each remembered with its answer. */
import { errorMessage } from '@ipfs-cluster/base'
import { benchCid } from '../bench/bed.ts'
import { load } from '../bench/http-load.ts'
import { bulk } from './bulk-load.ts'
import type { Expected } from './expected.ts'

/** One request a pin: each made durable by a DAG node of its group (`single`), or by the write-ahead table (`batched`); or lines of one request. */
export type Mode = 'single' | 'batched' | 'bulk'

export const MODES: readonly Mode[] = ['single', 'batched', 'bulk']

/** One pin in so many expires. */
const EXPIRING = 20
const EXPIRES_IN_S = 2
const CONNECTIONS = 24
const UNPIN_CONNECTIONS = 8

export interface Traffic {
  /** Ends when `signal` fires, after the answers under way. What the server refuses is counted; a broken connection is an error unless `signal` has fired. */
  run(url: string, signal: AbortSignal): Promise<void>
  /** Statuses or error lines other than success, with their number. */
  readonly refused: ReadonlyMap<string, number>
}

export function createTraffic(series: string, mode: Mode, expected: Expected): Traffic {
  let next = 0
  const removable: string[] = []
  const refused = new Map<string, number>()
  const refuse = (what: string) => void refused.set(what, (refused.get(what) ?? 0) + 1)

  const fresh = () => `${benchCid(series, next++)}`
  const isExpiring = (cid: string) => cid.charCodeAt(cid.length - 2) % EXPIRING === 0 && mode !== 'bulk'
  const pinned = (cid: string) => {
    if (isExpiring(cid)) return expected.answered(cid, 'expiring')
    expected.answered(cid, 'present')
    if (removable.length < 10_000 && cid.charCodeAt(cid.length - 3) % 4 === 0) removable.push(cid)
  }

  function* pins(): Generator<string> {
    while (true) {
      const cid = fresh()
      expected.asked(cid, isExpiring(cid))
      yield cid
    }
  }
  function* unpins(): Generator<string> {
    while (true) {
      const cid = removable.shift()
      if (cid === undefined) return
      expected.asked(cid)
      yield cid
    }
  }

  const singly = async (url: string, signal: AbortSignal) => {
    const cidOf = (path: string) => /^\/pins\/(\w+)/.exec(path)?.[1] ?? ''
    const paths = function* () {
      for (const cid of pins()) yield `/pins/${cid}${isExpiring(cid) ? `?expire-in=${EXPIRES_IN_S}s` : ''}`
    }
    const removals = function* () {
      for (const cid of unpins()) yield `/pins/${cid}`
    }
    const removing = async () => {
      // A load ends when nothing is left to remove at the moment.
      while (!signal.aborted) {
        await load(url, removals(), {
          connections: UNPIN_CONNECTIONS,
          method: 'DELETE',
          signal,
          answered: (path, status) =>
            status === 200 ? expected.answered(cidOf(path), 'absent') : refuse(`DELETE ${status}`),
        })
        await new Promise(resolve => void setTimeout(resolve, 20))
      }
    }
    await both(
      load(url, paths(), {
        connections: CONNECTIONS,
        method: 'POST',
        signal,
        answered: (path, status) => (status === 200 ? pinned(cidOf(path)) : refuse(`POST ${status}`)),
      }),
      removing(),
    )
  }

  const inBulk = async (url: string, signal: AbortSignal) => {
    const stream = async (
      method: 'POST' | 'DELETE',
      cids: Iterable<string>,
      onSuccess: (cid: string) => void,
    ) => {
      const answered = (cid: string, answer: string) => {
        const { error } = JSON.parse(answer) as { error?: unknown }
        if (error === undefined) onSuccess(cid)
        else refuse(`${method} ${JSON.stringify(error)}`)
      }
      while (!signal.aborted) {
        try {
          return await bulk(url, cids, { method, signal, answered })
        } catch (error) {
          const status = refusalOf(errorMessage(error))
          if (status === undefined) throw error
          refuse(`${method} ${status}`)
          await new Promise(resolve => void setTimeout(resolve, 20))
        }
      }
    }
    const removing = async () => {
      while (!signal.aborted) {
        await stream('DELETE', unpins(), cid => expected.answered(cid, 'absent'))
        await new Promise(resolve => void setTimeout(resolve, 20))
      }
    }
    await both(stream('POST', pins(), pinned), removing())
  }

  return { run: (url, signal) => (mode === 'bulk' ? inBulk(url, signal) : singly(url, signal)), refused }
}

/**
 * The status of a bulk request that is refused as a whole, before its first answer or behind its last, and may come again: a peer that had no time to
 * read the head of a request blames the client, one whose disk is full says so.
 */
function refusalOf(text: string): number | undefined {
  if (text.startsWith('HTTP/1.1 408')) return 408
  return text.includes('no space left on the disk') ? 507 : undefined
}

/** Waits for both, then reports the first failure. */
async function both(...works: readonly Promise<unknown>[]): Promise<void> {
  const ended = await Promise.allSettled(works)
  const failed = ended.find(result => result.status === 'rejected')
  if (failed !== undefined) throw new Error(errorMessage(failed.reason), { cause: failed.reason })
}
