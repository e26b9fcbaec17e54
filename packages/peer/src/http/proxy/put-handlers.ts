/** `block/put` and `dag/put` with `pin=true`: the daemon stores, the cluster pins (reference api.md 2). */
import { cidText, DEFAULT_PIN_OPTIONS, parseCid } from '@ipfs-cluster/api'
import { errorMessage } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import { continueBody, StreamWriter } from '../common/index.ts'
import { addErrorTrailers, beginStream, type HijackedCall, type Hijacker } from './call.ts'
import { ProxyError } from './errors.ts'
import { hasBody, passedOn, pump } from './passing.ts'

/** An object of the daemon's answer, and the line that tells the client of it. */
interface Stored {
  readonly cid: CID
  readonly line: string
}

/** Bytes of one object, which names one block. */
const OBJECT_BYTES_MAX = 64 * 1024

export const blockPut: Hijacker = call =>
  putAndPin(call, call.query, object => {
    const { Key, Size } = object as { readonly Key?: unknown; readonly Size?: unknown }
    if (typeof Key !== 'string' || typeof Size !== 'number') throw notStored(object)
    const cid = parseCid(Key)
    return { cid, line: `{"Key":"${cidText(cid)}","Size":${Size}}` }
  })

/** The daemon need not pin what the cluster does. */
export const dagPut: Hijacker = call => {
  const query = new URLSearchParams(call.query)
  query.set('pin', 'false')
  return putAndPin(call, query, object => {
    const link = (object as { readonly Cid?: { readonly '/'?: unknown } }).Cid?.['/']
    if (typeof link !== 'string') throw notStored(object)
    const cid = parseCid(link)
    return { cid, line: `{"Cid":{"/":"${cidText(cid)}"}}` }
  })
}

/** What cannot be pinned does not keep the rest from being; each failure is told in a trailer. */
async function putAndPin(
  call: HijackedCall,
  query: URLSearchParams,
  read: (object: object) => Stored,
): Promise<void> {
  const { cluster, upstream, request, response, signal, path, logger } = call
  const withBody = hasBody(request)
  if (withBody) continueBody(request, response)
  const { method = 'POST' } = request
  const asked = { method, target: `${path}?${query}`, headers: passedOn(request) }
  using answer = await upstream.ask({ ...asked, body: withBody ? request : undefined }, { signal })
  if (answer.status !== 200) {
    response.writeHead(answer.status)
    await pump(answer.body, response, signal)
    response.end()
    return
  }
  beginStream(call)
  const writer = new StreamWriter(response, signal)
  const errors: string[] = []
  const failed = (error: unknown) => {
    signal.throwIfAborted()
    logger.warn({ error: errorMessage(error) }, 'a stored block is not pinned')
    errors.push(errorMessage(error))
  }
  try {
    for await (const object of objectsOf(answer.body)) {
      const { cid, line } = read(object)
      await cluster.pin(cid, DEFAULT_PIN_OPTIONS, { signal }).catch(failed)
      await writer.write(`${line}\n`)
    }
    const told = answer.trailers()['x-stream-error']
    if (told !== undefined && told !== '') errors.push(told)
  } catch (error) {
    failed(error)
  }
  addErrorTrailers(response, errors)
  await writer.endWithoutTrailer()
}

/** The objects of an answer, one a line. @throws ProxyError `IPFS_BAD_ANSWER` for what is none, or an error among them. */
async function* objectsOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<object> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const part of body) {
    const lines = (rest + decoder.decode(part, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    if (rest.length > OBJECT_BYTES_MAX) throw badAnswer(`an object of more than ${OBJECT_BYTES_MAX} bytes`)
    for (const line of lines) if (line.trim() !== '') yield objectOf(line)
  }
  if (rest.trim() !== '') yield objectOf(rest)
}

function objectOf(line: string): object {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (cause) {
    throw badAnswer(`not JSON: ${line.slice(0, 200)}`, cause)
  }
  if (typeof value !== 'object' || value === null) throw badAnswer(`not an object: ${line.slice(0, 200)}`)
  // How older daemons tell that an answer which began well has failed.
  if ('Type' in value && value.Type === 'error' && 'Message' in value) throw badAnswer(String(value.Message))
  return value
}

function notStored(object: object): ProxyError {
  return badAnswer(`not a stored block: ${JSON.stringify(object).slice(0, 200)}`)
}

function badAnswer(what: string, cause?: unknown): ProxyError {
  return new ProxyError(
    `the IPFS daemon answered: ${what}`,
    { code: 'IPFS_BAD_ANSWER' },
    cause === undefined ? {} : { cause },
  )
}
