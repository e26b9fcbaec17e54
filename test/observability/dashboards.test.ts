import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { before, describe, test } from 'node:test'
import { documentedMetrics, type TableRow } from './metrics-table.ts'

const read = (path: string) => readFile(new URL(`../../${path}`, import.meta.url), 'utf8')

/** Prometheus adds these to every sample. */
const EVERYWHERE = ['job', 'instance']
const KEYWORDS = new Set([
  'by',
  'without',
  'on',
  'and',
  'or',
  'unless',
  'ignoring',
  'group_left',
  'bool',
  'offset',
])
/** Metrics that Prometheus makes itself. */
const OF_PROMETHEUS = new Set(['up'])

interface Use {
  readonly metric: string
  readonly suffix: string
  readonly labels: readonly string[]
}

/** Metrics of an expression with the labels that select them, and the labels that it is grouped by. */
function parsePromQL(expr: string): { readonly uses: readonly Use[]; readonly groups: readonly string[] } {
  const groups: string[] = []
  const bare = expr
    .replace(/\[[^\]]*\]/g, ' ')
    .replace(/\b(?:by|on|without|ignoring)\s*\(([^)]*)\)/g, (_all, list: string) => {
      groups.push(...list.split(',').map(label => label.trim()))
      return ' '
    })
  const uses: Use[] = []
  for (const [, name = '', selector = ''] of bare.matchAll(
    /\b([a-zA-Z_:][\w:]*)\b(?!\s*\()(?:\{([^}]*)\})?/g,
  )) {
    // Inside of a selector, or of a number such as 1e9.
    if (KEYWORDS.has(name) || !isOutside(bare, name, selector)) continue
    const labels = [...selector.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)].map(match => match[1] ?? '')
    const [, metric = name, suffix = ''] = /^(.*?)(_bucket|_sum|_count)?$/.exec(name) ?? []
    uses.push({ metric, suffix, labels })
  }
  return { uses, groups }
}

/** Whether this name stands outside of all braces and quotes. */
function isOutside(expr: string, name: string, selector: string): boolean {
  const outside = expr.replace(/\{[^}]*\}/g, '{}').replace(/"[^"]*"/g, '')
  return new RegExp(`\\b${name}\\b`).test(outside) || selector !== ''
}

describe('what is made of the metrics', () => {
  let table: ReadonlyMap<string, TableRow>

  before(async () => {
    table = new Map((await documentedMetrics()).map(row => [row.name, row]))
    assert.ok(table.size > 50)
  })

  function check(expr: string): void {
    const { uses, groups } = parsePromQL(expr)
    assert.ok(uses.length > 0, `no metric in: ${expr}`)
    const known = new Set([...EVERYWHERE, 'le'])
    for (const { metric, suffix, labels } of uses) {
      if (OF_PROMETHEUS.has(metric) && suffix === '') {
        for (const label of labels) assert.ok(EVERYWHERE.includes(label), `${label} in: ${expr}`)
        continue
      }
      const row = table.get(metric) ?? table.get(metric + suffix)
      assert.ok(row, `${metric}${suffix} is no metric, in: ${expr}`)
      assert.equal(
        row.type === 'histogram',
        suffix !== '' && row.name === metric,
        `parts of a histogram, in: ${expr}`,
      )
      for (const label of row.labels) known.add(label)
      for (const label of labels) {
        assert.ok(
          [...EVERYWHERE, ...row.labels].includes(label),
          `${metric} has no label ${label}, in: ${expr}`,
        )
      }
    }
    for (const label of groups) assert.ok(known.has(label), `no label ${label}, in: ${expr}`)
    const counters = /\b(?:rate|increase)\((\w+)/g
    for (const [, name = ''] of expr.matchAll(counters)) {
      const type = (table.get(name) ?? table.get(name.replace(/_(bucket|sum|count)$/, '')))?.type
      assert.notEqual(type, 'gauge', `the rate of a gauge, in: ${expr}`)
    }
  }

  test('the check finds what is wrong', () => {
    for (const wrong of [
      'ipfscluster_pinz',
      'sum by (colour) (ipfscluster_pins)',
      'ipfscluster_pins{queue="normal"}',
      'rate(ipfscluster_pins[5m])',
      'ipfscluster_rpc_duration_seconds',
      'ipfscluster_pins_bucket',
      'up{queue="a"}',
      '1 + 2',
    ]) {
      assert.throws(() => check(wrong), assert.AssertionError, wrong)
    }
    check(
      'histogram_quantile(0.9, sum by (le, method) (rate(ipfscluster_rpc_duration_seconds_bucket{job="a"}[5m])))',
    )
  })

  test('the dashboard shows metrics that exist, in rows that have panels', async () => {
    const dashboard = JSON.parse(await read('deploy/grafana/ipfs-cluster.json')) as {
      readonly panels: readonly {
        readonly id: number
        readonly type: string
        readonly title: string
        readonly targets?: readonly { readonly expr: string }[]
        readonly gridPos: { readonly x: number; readonly w: number }
      }[]
      readonly templating: {
        readonly list: readonly { readonly query: string | { readonly query: string } }[]
      }
    }
    const { panels } = dashboard
    const rows = panels.filter(({ type }) => type === 'row').map(({ title }) => title)
    assert.deepEqual(rows, [
      'Pins and queues',
      'Commits and sync',
      'RPC and network',
      'HTTP',
      'IPFS daemon',
      'Process',
    ])
    assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length)
    for (const { type, title, targets, gridPos } of panels) {
      if (type === 'row') continue
      assert.ok(gridPos.x + gridPos.w <= 24, title)
      assert.ok(targets !== undefined && targets.length > 0, title)
      for (const { expr } of targets) check(expr)
    }
    for (const { query } of dashboard.templating.list) {
      const text = typeof query === 'string' ? query : query.query
      const metric = /^label_values\((\w+)/.exec(text)?.[1]
      if (metric !== undefined) assert.ok(table.has(metric), text)
    }
  })

  test('the alerts watch metrics that exist', async () => {
    const text = await read('deploy/prometheus/alerts.yml')
    const names = [...text.matchAll(/^ {6}- alert: (\w+)$/gm)].map(match => match[1])
    const expressions = [...text.matchAll(/^ {8}expr: (.+)$/gm)].map(match => match[1] ?? '')
    assert.equal(expressions.length, names.length)
    assert.equal(new Set(names).size, names.length)
    for (const wanted of [
      'ClusterPeerDown',
      'ClusterPinQueueStalled',
      'ClusterPinErrorsGrow',
      'ClusterSyncLag',
      'ClusterStoreDiskNearlyFull',
    ])
      assert.ok(names.includes(wanted), wanted)
    for (const expr of expressions) check(expr)
  })
})
