import { goFloat } from './prometheus-text.ts'

/** Label names and values of one series, such as `{ protocol: 'rpc', reason: 'too_many_calls' }`. Values come from a fixed set, never from the network. */
export type MetricLabels = Readonly<Record<string, string>>

/** Counts in one series. */
export interface Tally {
  /** @default 1 */
  add(count?: number): void
}

/** A number that only grows. */
export interface Counter {
  add(labels?: MetricLabels, count?: number): void
  /** The series with these labels, which is there from now on; keep it where it is used often: finding it costs more than counting. */
  of(labels: MetricLabels): Tally
}

/** Takes single values of one series, such as durations. Costs less than 200 ns: no allocation, a binary search. */
export interface Observer {
  observe(value: number): void
}

/** How values are distributed over fixed buckets. `observe` is of the series without labels. */
export interface Histogram extends Observer {
  /** The series with these labels; keep it where it is used often. */
  of(labels: MetricLabels): Observer
}

/**
 * Where rooms report what happens to them. Names are Prometheus names with their unit, and `_total` at the end of a counter. Asking twice for
 * a name gives the same metric.
 */
export interface Meter {
  counter(name: string, help: string): Counter
  /** A number that goes up and down; `read` is asked when somebody looks. A later reader of the same name and labels replaces the earlier. */
  gauge(name: string, help: string, read: () => number, labels?: MetricLabels): void
  /** A counter that somebody else keeps; asked as a gauge is. */
  total(name: string, help: string, read: () => number, labels?: MetricLabels): void
  /** @param bounds upper bounds of the buckets, ascending; one without bound is added. */
  histogram(name: string, help: string, bounds: readonly number[]): Histogram
}

export interface MetricSample {
  readonly labels: MetricLabels
  readonly value: number
  /** Of a histogram: what stands behind the metric's name. Buckets are cumulative and labelled `le`. */
  readonly suffix?: '_bucket' | '_sum' | '_count'
}

export interface Metric {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly samples: readonly MetricSample[]
}

export interface MeterRegistry extends Meter {
  /** All metrics as they are now, by name. */
  collect(): readonly Metric[]
}

export const silentMeter: Meter = {
  counter: () => ({ add: () => undefined, of: () => ({ add: () => undefined }) }),
  gauge: () => undefined,
  total: () => undefined,
  histogram: () => ({ observe: () => undefined, of: () => ({ observe: () => undefined }) }),
}

/** Upper bounds for durations in seconds, from what memory takes to what a person waits for. */
export const DURATION_BOUNDS_S: readonly number[] = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
]

/** Upper bounds for a number of things handled together. */
export const COUNT_BOUNDS: readonly number[] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16_384]

/** Upper bounds in milliseconds, and in bytes, of the views of OpenCensus that Go peers export. */
export const OPENCENSUS_MS_BOUNDS: readonly number[] = [
  1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 30, 40, 50, 65, 80, 100, 130, 160, 200, 250, 300, 400, 500, 650,
  800, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000,
]
export const OPENCENSUS_BYTES_BOUNDS: readonly number[] = [
  1024, 2048, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864, 268_435_456,
  1_073_741_824, 4_294_967_296,
]

/** Series of one metric; more are summed up in one without labels, so that a mistake with labels cannot fill the memory. */
export const MAX_SERIES = 1000

interface Entry {
  readonly help: string
  readonly type: Metric['type']
  readonly series: Map<string, Series>
}

interface Series {
  readonly labels: MetricLabels
  read(): number | HistogramCells
}

export function createMeter(): MeterRegistry {
  const entries = new Map<string, Entry>()
  const counters = new Map<string, Counter>()
  const histograms = new Map<string, Histogram>()
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
    total(name, help, read, labels = {}) {
      entryOf(name, help, 'counter').series.set(keyOf(labels), { labels, read })
    },
    histogram(name, help, bounds) {
      let histogram = histograms.get(name)
      if (histogram === undefined) {
        histogram = createHistogram(entryOf(name, help, 'histogram'), bounds)
        histograms.set(name, histogram)
      }
      return histogram
    },
    collect: () =>
      [...entries]
        .map(([name, { help, type, series }]) => ({
          name,
          help,
          type,
          samples: [...series.values()].flatMap(({ labels, read }) => samplesOf(labels, read())),
        }))
        .sort((a, b) => (a.name < b.name ? -1 : 1)),
  }
}

function samplesOf(labels: MetricLabels, value: number | HistogramCells): MetricSample[] {
  return typeof value === 'number' ? [{ labels, value }] : value.samples(labels)
}

function createHistogram(entry: Entry, bounds: readonly number[]): Histogram {
  const of = seriesOf(
    entry,
    () => new HistogramCells(bounds),
    cells => cells,
  )
  let bare: HistogramCells | undefined
  return { of, observe: value => (bare ??= of({})).observe(value) }
}

class HistogramCells implements Observer {
  readonly #bounds: Float64Array
  /** Values in each bucket, not cumulative; the last is of those above every bound. */
  readonly #cells: Float64Array
  #sum = 0

  constructor(bounds: readonly number[]) {
    this.#bounds = Float64Array.from(bounds)
    this.#cells = new Float64Array(bounds.length + 1)
  }

  observe(value: number): void {
    const bounds = this.#bounds
    const cells = this.#cells
    let low = 0
    let high = bounds.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (value <= (bounds[middle] as number)) high = middle
      else low = middle + 1
    }
    cells[low] = (cells[low] as number) + 1
    this.#sum += value
  }

  samples(labels: MetricLabels): MetricSample[] {
    const samples: MetricSample[] = []
    let count = 0
    this.#cells.forEach((cell, i) => {
      count += cell
      const le = goFloat(this.#bounds[i] ?? Infinity)
      samples.push({ suffix: '_bucket', labels: { ...labels, le }, value: count })
    })
    samples.push({ suffix: '_sum', labels, value: this.#sum })
    samples.push({ suffix: '_count', labels, value: count })
    return samples
  }
}

function createCounter(entry: Entry): Counter {
  const of = seriesOf(
    entry,
    () => new CounterCell(),
    ({ value }) => value,
  )
  return { of, add: (labels = {}, count = 1) => of(labels).add(count) }
}

class CounterCell implements Tally {
  value = 0

  add(count = 1): void {
    this.value += count
  }
}

/** Finds the series with some labels, in whatever order they are written, or makes it; from `MAX_SERIES` on, the one without labels. */
function seriesOf<T>(
  { series }: Entry,
  make: () => T,
  read: (cells: T) => number | HistogramCells,
): (labels: MetricLabels) => T {
  const all = new Map<string, T>()
  // Whoever counts writes the labels in the same order each time: putting them in order would cost more than counting.
  const asWritten = new Map<string, T>()
  const find = (labels: MetricLabels): T => {
    const key = keyOf(labels)
    const known = all.get(key)
    if (known !== undefined) return known
    if (all.size >= MAX_SERIES && key !== '') return find({})
    const cells = make()
    all.set(key, cells)
    series.set(key, { labels, read: () => read(cells) })
    return cells
  }
  return labels => {
    const text = textOf(labels, Object.keys(labels))
    let cells = asWritten.get(text)
    if (cells === undefined) {
      cells = find(labels)
      if (asWritten.size < MAX_SERIES) asWritten.set(text, cells)
    }
    return cells
  }
}

function keyOf(labels: MetricLabels): string {
  return textOf(labels, Object.keys(labels).sort())
}

function textOf(labels: MetricLabels, names: readonly string[]): string {
  let text = ''
  for (const name of names) text += `${name}=${labels[name]}\n`
  return text
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
