/** Differences of peers that are gone, of daemons that do not answer, and of followers. */
import type { Verdict } from './differ-verdicts.ts'

export const TROUBLE_VERDICTS: readonly Verdict[] = [
  {
    reason: 'same status in the answer; the cause is in our words, with the call and what to check',
    scenario: /^two$/,
    what: /^(body|trailers)$/,
    holds: sameButForCauses,
  },
  {
    reason: 'the same allocations; their order is not specified: it comes from the metrics of that moment',
    scenario: /^two$/,
    what: /body/,
    holds: (go, ours) => sortedAllocations(sameText(go)) === sortedAllocations(sameText(ours)),
  },
  {
    reason:
      'answered from the table of the tracker: ours knows what it pinned while its daemon is away, Go has to ask the daemon',
    scenario: /^IPFS/,
    request: /GET \/pins\?(filter=pinned|local=true)$/,
  },
  {
    reason: 'same status; the cause is in our words',
    scenario: /^IPFS/,
    what: /^(body|trailers)$/,
    holds: sameButForCauses,
  },
  {
    reason:
      'the cause is in our words; and the pin is described from the pinset, where Go gives the zero values of a failed status',
    scenario: /^IPFS/,
    request: /GET \/pins\/\w+$/,
    go: /"status":"cluster_error"/,
    holds: (go, ours) => sameButForCauses(withoutPin(go), withoutPin(ours)),
  },
  {
    reason:
      'what waits for a daemon that is away stays queued and goes on by itself; Go fails it until it is recovered',
    scenario: /^IPFS down$/,
    request: /filter=error|pinned without a daemon|\/recover/,
  },
  {
    reason:
      'better: an add whose daemon is silent fails with the time-out of the configuration; Go had not ended its answer after 25 s',
    scenario: /^IPFS silent$/,
    request: /POST \/add/,
  },
  {
    reason: 'better: a follower refuses before it resolves the path; Go resolves first, and may fail there',
    scenario: /^follower$/,
    request: /POST \/pins\/ipns/,
  },
]

/** Without the error texts of single peers, and without what ours adds to a text of Go. */
function sameText(text: string): string {
  return text
    .replaceAll(/"error":"(?:[^"\\]|\\.)+"/g, '"error":"<cause>"')
    .replace(/^\{"code":500,"message":"(?:[^"\\]|\\.)+"/, '{"code":500,"message":"<cause>"')
    .replace(/(failed to put block on all destinations).*/s, '$1')
}

function sameButForCauses(go: string, ours: string): boolean {
  return sameText(go) === sameText(ours)
}

function sortedAllocations(text: string): string {
  return text.replaceAll(/"allocations":\[([^\]]*)\]/g, (_, list: string) => list.split(',').sort().join(','))
}

function withoutPin(text: string): string {
  return text.replace(/"allocations":.*?"peer_map"/, '"peer_map"')
}
