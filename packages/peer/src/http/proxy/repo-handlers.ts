/** `repo/stat` and `repo/gc` over all peers (reference api.md 2). */
import { cidText, jsonString } from '@ipfs-cluster/api'
import { sendJson, StreamWriter } from '../common/index.ts'
import { addErrorTrailers, beginStream, type Hijacker } from './call.ts'

export const repoStat: Hijacker = async ({ cluster, response, signal }) => {
  const { repoSize, storageMax } = await cluster.repoStat({ signal })
  sendJson(response, 200, `{"RepoSize":${repoSize},"StorageMax":${storageMax}}`)
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
