import {
  anySignal,
  asError,
  errorMessage,
  type AbortOptions,
  type Clock,
  type Logger,
} from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'

/** Deadline of one request. */
const REQUEST_TIMEOUT_MS = 15_000
/** Of one answer. */
const MAX_ANSWER_BYTES = 1024 * 1024
/** Addresses of one provider that are kept. */
const MAX_ADDRESSES = 32

/** A peer that is said to have a block. */
export interface Provider {
  /** Text id. */
  readonly id: string
  /** Multiaddrs, with or without /p2p; none when only the id is known. */
  readonly addresses: readonly string[]
}

/**
 * Asks one HTTP routing endpoint (IPIP-337: `GET /routing/v1/providers/{cid}`, JSON or NDJSON) who has a block. An endpoint that fails is
 * logged and has no answer: routing is a help, never a condition.
 */
export async function* delegatedProviders(
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
  endpoint: string,
  cid: CID,
  { signal }: AbortOptions = {},
): AsyncGenerator<Provider> {
  // Endpoints key by hash; the canonical form is CIDv1.
  const url = `${endpoint.replace(/\/+$/, '')}/routing/v1/providers/${cid.toV1()}`
  const controller = new AbortController()
  const deadline = anySignal(clock.timeout(REQUEST_TIMEOUT_MS), signal, controller.signal)
  try {
    const response = await fetch(url, {
      headers: { accept: 'application/x-ndjson, application/json;q=0.9' },
      ...(deadline === undefined ? {} : { signal: deadline }),
    })
    if (response.status === 404 || response.body === null) return
    if (!response.ok) throw new Error(`HTTP status ${response.status}`)
    const isStream = response.headers.get('content-type')?.includes('ndjson') === true
    for await (const text of isStream ? lines(response.body) : whole(response.body)) {
      for (const record of recordsIn(JSON.parse(text), isStream)) {
        const provider = parseProvider(record)
        if (provider !== undefined) yield provider
      }
    }
  } catch (error) {
    signal?.throwIfAborted()
    logger.warn({ url, err: asError(error) }, `delegated routing failed: ${errorMessage(error)}`)
  } finally {
    controller.abort(new DOMException('enough', 'AbortError'))
  }
}

function recordsIn(answer: unknown, isStream: boolean): readonly unknown[] {
  if (isStream) return [answer]
  if (typeof answer !== 'object' || answer === null || !('Providers' in answer)) return []
  return Array.isArray(answer.Providers) ? answer.Providers : []
}

/** Schemas `peer` and the older `bitswap` name a peer alike; records of others are not for us. */
function parseProvider(record: unknown): Provider | undefined {
  if (typeof record !== 'object' || record === null) return undefined
  const { Schema, ID, Addrs } = record as { Schema?: unknown; ID?: unknown; Addrs?: unknown }
  if ((Schema !== 'peer' && Schema !== 'bitswap') || typeof ID !== 'string') return undefined
  const addresses = Array.isArray(Addrs) ? Addrs.filter(address => typeof address === 'string') : []
  return { id: ID, addresses: addresses.slice(0, MAX_ADDRESSES) }
}

async function* lines(body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let rest = ''
  for await (const text of texts(body)) {
    const parts = (rest + text).split('\n')
    rest = parts.pop() ?? ''
    for (const part of parts) if (part.trim() !== '') yield part
  }
  if (rest.trim() !== '') yield rest
}

async function* whole(body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const parts = await Array.fromAsync(texts(body))
  yield parts.join('')
}

async function* texts(body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let bytes = 0
  for await (const chunk of body) {
    bytes += chunk.length
    if (bytes > MAX_ANSWER_BYTES) throw new Error(`the answer is longer than ${MAX_ANSWER_BYTES} bytes`)
    yield decoder.decode(chunk, { stream: true })
  }
}
