/** The answer to an upload: outputs as they arise or, for what stands behind some reverse proxies, all at once (reference api.md 1.6). */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddedOutput } from '@ipfs-cluster/api'
import type { Clock } from '@ipfs-cluster/base'
import type { AddPart } from '../../adder/index.ts'
import { sendJson } from './api-handler.ts'
import { discardRest } from './discard-rest.ts'
import { uploadParts } from './multipart.ts'
import { StreamWriter } from './stream.ts'

export interface AddExchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly signal: AbortSignal
  readonly clock: Clock
}

export interface AddAnswer {
  /** Adds what is uploaded. */
  readonly add: (parts: AsyncIterable<AddPart>) => AsyncIterable<AddedOutput>
  /** The JSON of an output, in the form of the API that answers. */
  readonly format: (output: AddedOutput) => string
  /** Answers when an add fails whose outputs were to come all at once. */
  readonly sendFailure: (error: unknown) => void
  /** Outputs as they arise, one a line, and a failure in the trailer `X-Stream-Error`; else one array, or `sendFailure`. */
  readonly streamChannels: boolean
}

/**
 * Answers an add.
 *
 * @throws HttpError `HTTP_BAD_UPLOAD` at once when the request is no multipart upload; nothing has been answered then.
 */
export async function serveAdd(
  { request, response, signal, clock }: AddExchange,
  { add, format, sendFailure, streamChannels }: AddAnswer,
): Promise<void> {
  const outputs = add(uploadParts(request, signal, clock))
  response.setHeader('Cache-Control', 'no-cache')
  response.setHeader('Connection', 'close')
  if (!streamChannels) {
    const all: string[] = []
    try {
      for await (const output of outputs) all.push(format(output))
    } catch (error) {
      signal.throwIfAborted()
      await discardRest(request, clock)
      sendFailure(error)
      return
    }
    await discardRest(request, clock)
    sendJson(response, 200, all.length === 0 ? 'null\n' : `[${all.join(',')}]\n`)
    return
  }
  response.writeHead(200, {
    'X-Chunked-Output': '1',
    Trailer: 'X-Stream-Error',
    'Transfer-Encoding': 'chunked',
  })
  response.flushHeaders()
  const writer = new StreamWriter(response, signal)
  try {
    for await (const output of outputs) await writer.write(`${format(output)}\n`)
  } catch (error) {
    signal.throwIfAborted()
    await discardRest(request, clock)
    await writer.end(error)
    return
  }
  await discardRest(request, clock)
  await writer.endWithoutTrailer()
}
