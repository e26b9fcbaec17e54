/** `add`: the cluster's own, with the options of Kubo that it has and answers in Kubo's words (reference api.md 2). */
import { addParamsFromQuery, cidText, jsonString, type AddedOutput, type AddParams } from '@ipfs-cluster/api'
import { errorCode, errorMessage } from '@ipfs-cluster/base'
import { continueBody, discardRest, serveAdd } from '../common/index.ts'
import { sendError, type HijackedCall, type Hijacker } from './call.ts'
import { badRequest } from './errors.ts'

const READING = 'error reading request: '

export const add: Hijacker = async call => {
  const { cluster, request, response, signal, clock } = call
  try {
    const params = paramsOf(call)
    continueBody(request, response)
    await serveAdd(call, {
      add: parts => cluster.add(parts, params, { signal }),
      format: addedObject,
      sendFailure: error => sendError(response, 500, errorMessage(error)),
      streamChannels: params.streamChannels,
    })
  } catch (error) {
    signal.throwIfAborted()
    if (response.headersSent) throw error
    // An answer to a client that is still sending would not be read.
    await discardRest(request, clock)
    throw errorCode(error) === 'HTTP_BAD_UPLOAD' ? badRequest(READING + unread(error), 500, error) : error
  }
}

function paramsOf({ query, clock }: HijackedCall): AddParams {
  if (query.get('only-hash') === 'true') throw badRequest('only-hash is not supported when adding to cluster')
  let params: AddParams
  try {
    params = addParamsFromQuery(query, clock.nowNs())
  } catch (cause) {
    throw badRequest(`error parsing options:${errorMessage(cause)}`, 500, cause)
  }
  return {
    ...params,
    ...(query.get('trickle') === 'true' && { layout: 'trickle' }),
    ...(query.get('pin') === 'false' && { noPin: true }),
  }
}

function unread(error: unknown): string {
  const message = errorMessage(error)
  return message.startsWith(READING) ? message.slice(READING.length) : message
}

function addedObject({ name, cid, bytes, size }: AddedOutput): string {
  const hash = cid === null ? '' : `,"Hash":"${cidText(cid)}"`
  const done = bytes === 0n ? '' : `,"Bytes":${bytes}`
  const total = size === 0n ? '' : `,"Size":"${size}"`
  return `{"Name":${jsonString(name)}${hash}${done}${total}}`
}
