/** Label names and values of one series, such as `{ protocol: 'rpc', reason: 'too_many_calls' }`. Values come from a fixed set, never from the network. */
export type MetricLabels = Readonly<Record<string, string>>

/** A number that only grows. */
export interface Counter {
  add(labels?: MetricLabels, count?: number): void
}

/**
 * Where rooms report what happens to them. Names are Prometheus names with their unit, and `_total` at the end of a counter. Asking twice for
 * a name gives the same metric.
 */
export interface Meter {
  counter(name: string, help: string): Counter
  /** A number that goes up and down; `read` is asked when somebody looks. A later reader of the same name and labels replaces the earlier. */
  gauge(name: string, help: string, read: () => number, labels?: MetricLabels): void
}

export interface MetricSample {
  readonly labels: MetricLabels
  readonly value: number
}

export interface Metric {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge'
  readonly samples: readonly MetricSample[]
}

export interface MeterRegistry extends Meter {
  /** All metrics as they are now, by name. */
  collect(): readonly Metric[]
}

export const silentMeter: Meter = {
  counter: () => ({ add: () => undefined }),
  gauge: () => undefined,
}

/** Series of one counter; more are summed up in one without labels, so that a mistake with labels cannot fill the memory. */
const MAX_SERIES = 1000

interface Entry {
  readonly help: string
  readonly type: Metric['type']
  readonly series: Map<string, { readonly labels: MetricLabels; read: () => number }>
}

export function createMeter(): MeterRegistry {
  const entries = new Map<string, Entry>()
  const counters = new Map<string, Counter>()
  const entryOf = (name: string, help: string, type: Metric['type']): Entry => {
    let entry = entries.get(name)
    if (entry === undefined) {
      entry = { help, type, series: new Map() }
      entries.set(name, entry)
    }
    return entry
  }
  return {
    counter(name, help) {
      let counter = counters.get(name)
      if (counter === undefined) {
        counter = createCounter(entryOf(name, help, 'counter'))
        counters.set(name, counter)
      }
      return counter
    },
    gauge(name, help, read, labels = {}) {
      entryOf(name, help, 'gauge').series.set(keyOf(labels), { labels, read })
    },
    collect: () =>
      [...entries]
        .map(([name, { help, type, series }]) => ({
          name,
          help,
          type,
          samples: [...series.values()].map(({ labels, read }) => ({ labels, value: read() })),
        }))
        .sort((a, b) => (a.name < b.name ? -1 : 1)),
  }
}

function createCounter({ series }: Entry): Counter {
  const values = new Map<string, number>()
  return {
    add(labels = {}, count = 1) {
      let key = keyOf(labels)
      let kept = labels
      if (!values.has(key) && values.size >= MAX_SERIES) {
        key = ''
        kept = {}
      }
      const known = values.get(key)
      values.set(key, (known ?? 0) + count)
      if (known === undefined) series.set(key, { labels: kept, read: () => values.get(key) ?? 0 })
    },
  }
}

function keyOf(labels: MetricLabels): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}=${value}`)
    .sort()
    .join('\n')
}

/** What other peers sent and we did not take. Every room that talks to other peers counts here; a limit's name is its reason. */
export interface Refusals {
  count(reason: string): void
}

/** Refusals of one protocol: `ipfscluster_refused_total{protocol,reason}`. */
export function refusalsOf(meter: Meter, protocol: string): Refusals {
  const counter = meter.counter(
    'ipfscluster_refused_total',
    'Connections, streams, messages and blocks of other peers that were refused, by protocol and reason',
  )
  return { count: reason => counter.add({ protocol, reason }) }
}

/** The text format of Prometheus, version 0.0.4. */
export function prometheusText(metrics: readonly Metric[]): string {
  return metrics
    .map(({ name, help, type, samples }) => {
      const lines = samples.map(({ labels, value }) => `${name}${labelText(labels)} ${value}`)
      return [`# HELP ${name} ${escapeHelp(help)}`, `# TYPE ${name} ${type}`, ...lines, ''].join('\n')
    })
    .join('')
}

function labelText(labels: MetricLabels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
}

function escapeLabel(text: string): string {
  return escapeHelp(text).replaceAll('"', '\\"')
}
