/** Reads what a metrics endpoint answers. */
import assert from 'node:assert/strict'

export interface ExportedMetric {
  readonly name: string
  readonly type: string
  readonly help: string
  /** Names of labels of any sample, in order of the alphabet; without `le`. `undefined` when there is no sample yet. */
  readonly labels: readonly string[] | undefined
  /** By text of the labels; of a histogram the counts. */
  readonly values: ReadonlyMap<string, number>
  /** Values of `le`, of a histogram. */
  readonly bounds: readonly string[]
}

interface Entry {
  type: string
  help: string
  labels: Set<string> | undefined
  values: Map<string, number>
  bounds: Set<string>
}

/** Strict: every line must be one that Prometheus takes. */
export function parseExposition(text: string): ReadonlyMap<string, ExportedMetric> {
  assert.ok(text.endsWith('\n'))
  const entries = new Map<string, Entry>()
  for (const line of text.slice(0, -1).split('\n')) {
    const comment = /^# (HELP|TYPE) ([a-zA-Z_:][\w:]*) (.*)$/.exec(line)
    if (comment !== null) {
      const [, what, name = '', rest = ''] = comment
      const entry = entries.get(name) ?? emptyEntry()
      entries.set(name, entry)
      if (what === 'HELP') entry.help = rest
      else entry.type = rest
    } else addSample(entries, line)
  }
  return new Map(
    [...entries].map(([name, { labels, bounds, ...entry }]) => [
      name,
      { name, ...entry, labels: labels && [...labels].sort(), bounds: [...bounds] },
    ]),
  )
}

function addSample(entries: Map<string, Entry>, line: string): void {
  const sample = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (NaN|[+-]Inf|-?[\d.]+(?:e[+-]\d+)?)$/.exec(line)
  assert.ok(sample, `no line of the format: ${line}`)
  const [, full = '', labelText = '', value = ''] = sample
  const base = full.replace(/_(bucket|sum|count)$/, '')
  const isHistogram = entries.get(base)?.type === 'histogram' && base !== full
  const entry = entries.get(isHistogram ? base : full)
  assert.ok(entry, `a sample before its type: ${line}`)
  entry.labels ??= new Set()
  for (const [, name = '', text = ''] of labelText.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
    if (name === 'le' && isHistogram) entry.bounds.add(text)
    else entry.labels.add(name)
  }
  if (!isHistogram || full.endsWith('_count')) entry.values.set(labelText, Number(value))
}

function emptyEntry(): Entry {
  return { type: '', help: '', labels: undefined, values: new Map(), bounds: new Set() }
}
