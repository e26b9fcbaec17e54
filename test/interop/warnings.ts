/** What peers logged at warn or above. */
import { notable } from './mixed.ts'
import type { InteropPeer } from './peers.ts'

/** Kinds shown of one peer. */
const MAX_KINDS = 20

/** Prints each kind of warning with how often it came; ids and numbers do not count. */
export function printWarnings(peers: readonly InteropPeer[]): void {
  for (const peer of peers) {
    const counts = new Map<string, number>()
    for (const line of notable(peer.log).split('\n')) {
      if (!/\t(WARN|ERROR)\t/.test(line)) continue
      const kind = line
        .replace(/^\S+\s+/, '')
        .replaceAll(/\b(12D3|baf|Qm)\w+/g, '<id>')
        .replaceAll(/\d+/g, '#')
        .slice(0, 200)
      counts.set(kind, (counts.get(kind) ?? 0) + 1)
    }
    console.log(`--- ${peer.name}: ${counts.size} kinds of warnings`)
    const frequent = [...counts].sort((a, b) => b[1] - a[1]).slice(0, MAX_KINDS)
    for (const [kind, count] of frequent) console.log(`${count} x ${kind}`)
  }
}
