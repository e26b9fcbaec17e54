/** The table of differences. */
import type { Difference } from './differ-compare.ts'
import { verdictOf } from './differ-verdicts.ts'

const CELL_MAX = 400

/** Prints all, those without a verdict last. Returns how many have none. */
export function printReport(differences: readonly Difference[], requests: number): number {
  const rows = differences.map(difference => ({ difference, verdict: verdictOf(difference)?.reason }))
  rows.sort((a, b) => Number(a.verdict === undefined) - Number(b.verdict === undefined))
  console.log('| request | what differs | Go | ours | verdict |\n|---|---|---|---|---|')
  for (const { difference, verdict = 'UNEXPLAINED' } of rows) {
    const { scenario, request, what, go, ours } = difference
    const [goCell, oursCell] = around(go, ours)
    console.log(`| ${[`${scenario}: ${request}`, what, goCell, oursCell, verdict].map(cell).join(' | ')} |`)
  }
  const counts = new Map<string, number>()
  for (const { verdict = 'UNEXPLAINED' } of rows) counts.set(verdict, (counts.get(verdict) ?? 0) + 1)
  console.log(`\n${requests} requests, ${differences.length} differences`)
  for (const [verdict, count] of [...counts].sort((a, b) => b[1] - a[1])) console.log(`${count} x ${verdict}`)
  return rows.filter(({ verdict }) => verdict === undefined).length
}

/** Of long texts, what surrounds the first difference. */
function around(go: string, ours: string): readonly [string, string] {
  if (go.length <= CELL_MAX && ours.length <= CELL_MAX) return [go, ours]
  let at = 0
  while (at < go.length && go[at] === ours[at]) at++
  const from = Math.max(0, at - 60)
  const cut = (text: string) =>
    (from > 0 ? '…' : '') +
    text.slice(from, from + CELL_MAX - 2) +
    (text.length > from + CELL_MAX - 2 ? '…' : '')
  return [cut(go), cut(ours)]
}

function cell(text: string): string {
  return (
    text
      .replaceAll('\n', '⏎')
      .replaceAll('|', '\\|')
      .replaceAll(/[^\x20-\uffff]/g, '·') || '-'
  )
}
