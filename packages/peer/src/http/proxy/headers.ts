/** The headers that the cluster's own answers have of the daemon, so that a browser finds the rules which the daemon was given. */
import { errorMessage, raceSignal, type AbortOptions, type Clock, type Logger } from '@ipfs-cluster/base'
import type { IpfsProxyConfig, Upstream, UpstreamRequest } from './types.ts'

/** What the daemon says to a browser that asks before the request. */
const CORS_HEADERS = ['Access-Control-Allow-Origin', 'Vary', 'Access-Control-Allow-Credentials']
/** What it says with every answer only. */
const EXTRACTED_ALWAYS = ['Access-Control-Expose-Headers']
/** A daemon that hangs must not hold a request that has no need of it. */
const ASK_MS = 2_000
/** Nor every request: how long it is not asked again after it did not answer. */
const RETRY_MS = 5_000
/** Kinds of requests (origin and method) whose rules are kept. */
const ORIGINS_MAX = 256

export type HeaderLines = readonly (readonly [name: string, values: readonly string[]])[]

export interface HeaderSource extends AsyncDisposable {
  /** Never fails but by the signal: without the daemon, what it said last. */
  of(request: HeaderRequest, options: AbortOptions): Promise<HeaderLines>
}

export interface HeaderRequest {
  readonly method: string
  readonly origin: string | undefined
  /** Escaped, without the query. */
  readonly path: string
}

export interface HeaderSourceComponents {
  readonly upstream: Pick<Upstream, 'ask'>
  readonly clock: Clock
  readonly logger: Logger
}

/** What was learnt, and until when it is used. */
interface Learnt {
  lines: HeaderLines
  until: number
  /** Under way. */
  asking: Promise<void> | undefined
}

export function createHeaderSource(
  { upstream, clock, logger }: HeaderSourceComponents,
  config: Pick<IpfsProxyConfig, 'extractHeadersExtra' | 'extractHeadersPath' | 'extractHeadersTtlMs'>,
): HeaderSource {
  const extractedNames = [...EXTRACTED_ALWAYS, ...config.extractHeadersExtra]
  const ttlMs = config.extractHeadersTtlMs === 0 ? Number.POSITIVE_INFINITY : config.extractHeadersTtlMs
  const closing = new AbortController()
  const active = new Set<Promise<void>>()
  const nothing = (): Learnt => ({ lines: [], until: Number.NEGATIVE_INFINITY, asking: undefined })
  const extracted = nothing()
  const cors = new Map<string, Learnt>()

  const ask = async (learnt: Learnt, request: UpstreamRequest, names: readonly string[]) => {
    const late = new AbortController()
    const stop = () => late.abort(closing.signal.reason)
    closing.signal.addEventListener('abort', stop, { once: true })
    const tooLate = () => late.abort(new DOMException(`no answer within ${ASK_MS / 1000} s`, 'TimeoutError'))
    clock.sleep(ASK_MS, { signal: late.signal }).then(tooLate, () => undefined)
    try {
      using answer = await upstream.ask(request, { signal: late.signal })
      for await (const _part of answer.body);
      learnt.lines = names.flatMap(name => {
        const values = answer.headers[name.toLowerCase()]
        return values === undefined ? [] : [[name, values] as const]
      })
      learnt.until = clock.monotonic() + ttlMs
    } catch (error) {
      logger.debug({ target: request.target, error: errorMessage(error) }, 'the IPFS daemon tells no headers')
      learnt.until = clock.monotonic() + RETRY_MS
    } finally {
      closing.signal.removeEventListener('abort', stop)
      late.abort()
      learnt.asking = undefined
    }
  }

  const linesOf = async (
    learnt: Learnt,
    request: UpstreamRequest,
    names: readonly string[],
    { signal }: AbortOptions,
  ) => {
    if (clock.monotonic() < learnt.until) return learnt.lines
    // Of all who wait for it, so that none of them may end it.
    if (learnt.asking === undefined) {
      const asking = ask(learnt, request, names)
      learnt.asking = asking
      active.add(asking)
      void asking.then(() => active.delete(asking))
    }
    await raceSignal(learnt.asking, signal)
    return learnt.lines
  }

  const corsOf = (key: string): Learnt => {
    const learnt = cors.get(key) ?? nothing()
    // What was used last stands last.
    cors.delete(key)
    cors.set(key, learnt)
    const [oldest] = cors.keys()
    if (cors.size > ORIGINS_MAX && oldest !== undefined) cors.delete(oldest)
    return learnt
  }

  return {
    async of({ method, origin, path }, options) {
      const asked = {
        'access-control-request-method': method,
        ...(origin === undefined ? {} : { origin }),
      }
      const preflight = { method: 'OPTIONS', target: path, headers: asked }
      const sample = { method: 'POST', target: config.extractHeadersPath, headers: {} }
      const [first, second] = await Promise.all([
        linesOf(corsOf(`${method} ${origin ?? ''}`), preflight, CORS_HEADERS, options),
        linesOf(extracted, sample, extractedNames, options),
      ])
      return [...first, ...second]
    },
    async [Symbol.asyncDispose]() {
      closing.abort(new DOMException('the IPFS proxy is stopped', 'AbortError'))
      await Promise.all(active)
    },
  }
}
