/** `repo/stat` and `repo/gc` over all peers (reference api.md 2). */
import { cidText, jsonString } from '@ipfs-cluster/api'
import { errorMessage } from '@ipfs-cluster/base'
import { sendJson, StreamWriter } from '../common/index.ts'
import { addErrorTrailers, beginStream, type HijackedCall, type Hijacker } from './call.ts'

/** Bytes of the daemon's answer. */
const STAT_BYTES_MAX = 64 * 1024

/** The sizes are those of all peers. What Go leaves out, and Kubo's clients cannot do without, is what our own daemon says of itself. */
export const repoStat: Hijacker = async call => {
  const { cluster, response, signal } = call
  const [{ repoSize, storageMax }, own] = await Promise.all([cluster.repoStat({ signal }), ownStat(call)])
  sendJson(response, 200, `{"RepoSize":${repoSize},"StorageMax":${storageMax}${own}}`)
}

/** Further fields as JSON, with a comma before each; none when the daemon does not answer. */
async function ownStat({ upstream, path, query, signal, logger }: HijackedCall): Promise<string> {
  try {
    const target = query.size === 0 ? path : `${path}?${query}`
    using answer = await upstream.ask({ method: 'POST', target, headers: {} }, { signal })
    if (answer.status !== 200) return ''
    const parts: Uint8Array[] = []
    let bytes = 0
    for await (const part of answer.body) {
      bytes += part.length
      if (bytes > STAT_BYTES_MAX) return ''
      parts.push(part)
    }
    const { NumObjects, RepoPath, Version } = JSON.parse(Buffer.concat(parts).toString()) as Record<
      string,
      unknown
    >
    const fields = Object.entries({ NumObjects, RepoPath, Version }).filter(
      ([, value]) => value !== undefined,
    )
    return fields.map(([name, value]) => `,"${name}":${JSON.stringify(value)}`).join('')
  } catch (error) {
    signal.throwIfAborted()
    logger.debug({ error: errorMessage(error) }, 'the IPFS daemon does not tell of its repository')
    return ''
  }
}

/**
 * Errors of blocks stand among the blocks with `stream-errors`, else all in one trailer. A peer that did not answer is not the client's failure,
 * as in Go.
 */
export const repoGC: Hijacker = async call => {
  const { cluster, query, response, signal, logger } = call
  const streamErrors = query.get('stream-errors') === 'true'
  const { peerMap } = await cluster.repoGC({ signal })
  beginStream(call)
  const writer = new StreamWriter(response, signal)
  let failures = ''
  for (const { peer, keys, error } of Object.values(peerMap)) {
    if (error !== '') logger.warn({ peer, error }, 'repo/gc failed on a peer')
    for (const { key, error: failure } of keys) {
      const about = failure !== '' && streamErrors ? `,"Error":${jsonString(failure)}` : ''
      await writer.write(`{"Key":${key === null ? 'null' : `{"/":"${cidText(key)}"}`}${about}}\n`)
      if (failure !== '' && !streamErrors) failures += `${failure}; `
    }
  }
  if (failures !== '') addErrorTrailers(response, [failures])
  await writer.endWithoutTrailer()
}
