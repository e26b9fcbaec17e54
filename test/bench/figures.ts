/** What is measured, as rows of a table: a column for each implementation, their ratio, and what is demanded. */
import { BARS, type Lookup } from './bars.ts'
import type { Kind } from '../interop/peers.ts'

export interface Figure {
  readonly what: string
  readonly unit: string
  readonly value: number
}

/** One run of one scenario for one implementation. */
export interface Result {
  readonly scenario: string
  readonly kind: Kind
  readonly pins: number
  /** Unix ms. */
  readonly at: number
  readonly machine: string
  readonly figures: readonly Figure[]
}

interface Row {
  readonly what: string
  readonly unit: string
  readonly pins: number
  readonly values: Map<Kind, number[]>
}

const NAMES: Readonly<Record<Kind, string>> = { ts: 'TypeScript', go: 'Go' }

/** A Markdown table of all results: medians, with least and most in brackets. */
export function table(results: readonly Result[]): string {
  const rows = rowsOf(results)
  const kinds = (['ts', 'go'] as const).filter(kind => rows.some(({ values }) => values.has(kind)))
  const lookup: Lookup = (what, kind, pins) => {
    const measured = rows.filter(each => each.what === what && each.values.has(kind))
    const row = measured.find(each => each.pins === pins) ?? measured.at(-1)
    return row === undefined ? undefined : median(row.values.get(kind) ?? [])
  }
  const head = ['pins', 'what', 'unit', ...kinds.map(kind => NAMES[kind]), 'TS / Go', 'bar', '']
  const lines = [head, head.map(() => '---')]
  for (const { what, unit, pins, values } of rows) {
    const [ts, go] = (['ts', 'go'] as const).map(kind =>
      values.has(kind) ? median(values.get(kind) ?? []) : undefined,
    )
    const bar = BARS[what]
    const holds = ts === undefined ? undefined : bar?.holds(ts, lookup, pins)
    lines.push([
      shortCount(pins),
      what,
      unit,
      ...kinds.map(kind => cell(values.get(kind) ?? [])),
      ts === undefined || go === undefined || go === 0 ? '' : (ts / go).toFixed(2),
      bar?.text ?? '',
      holds === undefined ? '' : holds ? 'holds' : '**fails**',
    ])
  }
  return lines.map(line => `| ${line.join(' | ')} |\n`).join('')
}

/** In the order of their first appearance, larger pinsets behind smaller ones of the same scenario. */
function rowsOf(results: readonly Result[]): readonly Row[] {
  const rows = new Map<string, Row>()
  const scenarios = [...new Set(results.map(({ scenario }) => scenario))]
  const ordered = results.toSorted(
    (a, b) => scenarios.indexOf(a.scenario) - scenarios.indexOf(b.scenario) || a.pins - b.pins,
  )
  for (const { kind, pins, figures } of ordered) {
    for (const { what, unit, value } of figures) {
      const key = `${pins} ${what}`
      const row: Row = rows.get(key) ?? { what, unit, pins, values: new Map() }
      rows.set(key, row)
      row.values.set(kind, [...(row.values.get(kind) ?? []), value])
    }
  }
  return [...rows.values()]
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN
}

function cell(values: readonly number[]): string {
  if (values.length === 0) return ''
  if (values.length === 1) return number(median(values))
  return `${number(median(values))} (${number(Math.min(...values))}–${number(Math.max(...values))})`
}

function number(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en')
  return value === 0 ? '0' : value.toPrecision(3)
}

function shortCount(pins: number): string {
  if (pins >= 1e6) return `${pins / 1e6}M`
  return pins >= 1000 ? `${pins / 1000}k` : String(pins)
}
