/** `pin/ls`: the pinset of the cluster in Kubo's words (reference api.md 2). */
import { cidText, parseCid, PIN_TYPE_ALL, type Pin } from '@ipfs-cluster/api'
import { batchesOf, errorCode, errorMessage } from '@ipfs-cluster/base'
import { sendJson, StreamWriter } from '../common/index.ts'
import { addErrorTrailers, beginStream, type HijackedCall, type Hijacker } from './call.ts'
import { badRequest } from './errors.ts'

/** `type` and `quiet` do nothing, as in Go. An argument has to be a CID. */
export const pinLs: Hijacker = async call => {
  const { query } = call
  const isStreamed = query.get('stream') === 'true' || query.get('s') === 'true'
  const arg = query.get('arg') ?? ''
  if (arg !== '') await listOne(call, arg, isStreamed)
  else if (isStreamed) await streamAll(call)
  else await listAll(call)
}

async function listOne(
  { cluster, response, signal }: HijackedCall,
  arg: string,
  isStreamed: boolean,
): Promise<void> {
  const cid = parseCid(arg)
  let pin: Pin
  try {
    pin = await cluster.pinGet(cid, { signal })
  } catch (error) {
    if (errorCode(error) !== 'PIN_NOT_FOUND') throw error
    throw badRequest(`Error: path '${arg}' is not pinned`, 500, error)
  }
  sendJson(response, 200, isStreamed ? line(pin) : `{"Keys":{${entry(pin)}}}`)
}

/** One object a line; a failure stands in the trailer. */
async function streamAll(call: HijackedCall): Promise<void> {
  const { cluster, response, signal, logger } = call
  beginStream(call)
  const writer = new StreamWriter(response, signal)
  const errors: string[] = []
  try {
    for await (const batch of batchesOf(cluster.pins(PIN_TYPE_ALL, { signal }))) {
      let text = ''
      for (const pin of batch) text += `${line(pin)}\n`
      await writer.write(text)
    }
  } catch (error) {
    signal.throwIfAborted()
    logger.warn({ error: errorMessage(error) }, 'a listing of the pinset ended early')
    errors.push(errorMessage(error))
  }
  addErrorTrailers(response, errors)
  await writer.endWithoutTrailer()
}

/** One object for all, written while it arises. When it fails after its beginning, the connection breaks: there is no way to say so in it. */
async function listAll({ cluster, response, signal }: HijackedCall): Promise<void> {
  const batches = batchesOf(cluster.pins(PIN_TYPE_ALL, { signal }))[Symbol.asyncIterator]()
  try {
    let step = await batches.next()
    response.writeHead(200)
    const writer = new StreamWriter(response, signal)
    let before = '{"Keys":{'
    for (; step.done !== true; step = await batches.next()) {
      let text = ''
      for (const pin of step.value) {
        text += before + entry(pin)
        before = ','
      }
      await writer.write(text)
    }
    await writer.write(before === ',' ? '}}' : '{"Keys":{}}')
    await writer.endWithoutTrailer()
  } finally {
    await batches.return?.(undefined)
  }
}

function line(pin: Pin): string {
  return `{"Cid":"${cidText(pin.cid)}","Type":"${pin.mode}"}`
}

function entry(pin: Pin): string {
  return `"${cidText(pin.cid)}":{"Type":"${pin.mode}"}`
}
