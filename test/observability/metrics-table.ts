/**
 * The tables of metrics in docs/metrics.md, from what a peer exports: `node test/observability/metrics-table.ts` writes them anew. Between
 * the marks of a section stand its rows; labels of a metric that has no sample in the exercise are kept as they are written there.
 */
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import type { ExportedMetric } from './exposition.ts'
import { exercise, startMeasuredPeer } from './measured-peer.ts'

export interface TableRow {
  readonly section: Section
  readonly name: string
  readonly type: string
  readonly labels: readonly string[]
  readonly help: string
}

export type Section = 'go' | 'own' | 'process'

const DOCUMENT = new URL('../../docs/metrics.md', import.meta.url)
const FIXTURE = new URL('fixtures/go-1.1.6-metrics.json', import.meta.url)

export interface GoMetric {
  readonly type: string
  readonly labels: readonly string[]
  readonly bounds?: readonly string[]
}

/** What a Go peer with `--stats --tracing` exports of its own and of the process, recorded. */
export async function goMetrics(): Promise<Readonly<Record<string, GoMetric>>> {
  return JSON.parse(await readFile(FIXTURE, 'utf8')) as Record<string, GoMetric>
}

export async function documentedMetrics(): Promise<readonly TableRow[]> {
  return rowsOf(await readFile(DOCUMENT, 'utf8'))
}

function rowsOf(document: string): TableRow[] {
  const rows: TableRow[] = []
  for (const [, section = '', text = ''] of document.matchAll(sectionPattern('(\\w+)'))) {
    for (const line of text.split('\n')) {
      const cells = line.split('|').map(cell => cell.trim())
      const name = /^`(\w+)`$/.exec(cells[1] ?? '')?.[1]
      if (name === undefined) continue
      const [, , type = '', labels = '', help = ''] = cells
      rows.push({
        section: section as Section,
        name,
        type,
        labels: [...labels.matchAll(/`(\w+)`/g)].map(match => match[1] ?? ''),
        help,
      })
    }
  }
  return rows
}

const sectionPattern = (name: string) =>
  new RegExp(`<!-- metrics: ${name} -->\\n([\\s\\S]*?)<!-- /metrics -->`, 'g')

export function sectionOf(name: string, go: Readonly<Record<string, GoMetric>>): Section {
  if (!name.startsWith('ipfscluster_')) return 'process'
  return name in go ? 'go' : 'own'
}

async function main(): Promise<void> {
  await using measured = await startMeasuredPeer()
  await exercise(measured)
  const exported = await measured.scrape()
  const go = await goMetrics()
  const document = await readFile(DOCUMENT, 'utf8')
  const known = new Map(rowsOf(document).map(row => [row.name, row]))
  const line = ({ name, type, labels = known.get(name)?.labels ?? [], help }: ExportedMetric) =>
    `| \`${name}\` | ${type} | ${labels.map(label => `\`${label}\``).join(', ')} | ${help} |`
  const table = (section: Section) => {
    const rows = [...exported.values()].filter(({ name }) => sectionOf(name, go) === section)
    return ['', '| metric | type | labels | meaning |', '|---|---|---|---|', ...rows.map(line), '', ''].join(
      '\n',
    )
  }
  const updated = document.replaceAll(
    sectionPattern('(\\w+)'),
    (_all, section: Section) => `<!-- metrics: ${section} -->\n${table(section)}<!-- /metrics -->`,
  )
  assert.ok(rowsOf(updated).length === exported.size, 'every metric has a section')
  await writeFile(DOCUMENT, updated)
}

if (import.meta.main) await main()
