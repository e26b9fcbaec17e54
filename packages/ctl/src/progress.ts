/** The line on a terminal that tells how far something is, such as an upload. */
import type { Clock } from '@ipfs-cluster/base'
import { bytesText } from './humanize.ts'
import type { Terminal } from './io.ts'

const REDRAW_MS = 200
/** The rate is that of so long. */
const WINDOW_MS = 5_000
const BAR_COLUMNS = 24
/** A time left beyond this is no news. */
const LONGEST_LEFT_S = 100 * 3600
const CLEAR_LINE = '\r\u001B[K'

export interface ProgressState {
  /** Bytes, or what else is counted. */
  readonly sent: number
  /** `undefined`: not known (yet). */
  readonly total: number | undefined
  /** The same in a second; `undefined` before there is one. */
  readonly rate: number | undefined
  readonly columns: number
  /** How a count is written. @default bytes */
  readonly unit?: ((count: number) => string) | undefined
}

/** `12 MB of 83 MB  14%  [===>      ]  3.4 MB/s  21s left`, with less of it on a narrow terminal. */
export function progressLine({ sent, total, rate, columns, unit = bytes }: ProgressState): string {
  const whole = total !== undefined && total > 0 ? Math.min(1, sent / total) : undefined
  const known = whole === undefined || total === undefined ? undefined : { whole, total }
  const count = known === undefined ? unit(sent) : `${unit(sent)} of ${unit(known.total)}`
  const percent = known === undefined ? '' : `${Math.floor(known.whole * 100)}%`.padStart(4)
  const speed = rate === undefined || known?.whole === 1 ? '' : `${unit(rate)}/s`
  const left = known === undefined || rate === undefined ? '' : timeLeft((known.total - sent) / rate)
  const bar = known === undefined ? '' : barOf(known.whole)
  const kept = [count, percent, bar, speed, left]
  // The bar goes first, then what can be worked out from the rest.
  for (const drop of [-1, 2, 4, 3, 1]) {
    if (drop >= 0) kept[drop] = ''
    const line = kept.filter(part => part !== '').join('  ')
    if (line.length < columns) return line
  }
  return count.slice(0, Math.max(0, columns - 1))
}

function bytes(count: number): string {
  return bytesText(BigInt(Math.round(count)))
}

function barOf(whole: number): string {
  const done = Math.floor(whole * BAR_COLUMNS)
  return `[${`${'='.repeat(done)}${done < BAR_COLUMNS ? '>' : ''}`.padEnd(BAR_COLUMNS)}]`
}

function timeLeft(seconds: number): string {
  const s = Math.ceil(seconds)
  if (s <= 0 || !(s < LONGEST_LEFT_S)) return ''
  const two = (value: number) => String(Math.floor(value)).padStart(2, '0')
  if (s < 60) return `${s}s left`
  if (s < 3600) return `${Math.floor(s / 60)}m${two(s % 60)}s left`
  return `${Math.floor(s / 3600)}h${two((s % 3600) / 60)}m left`
}

interface Sample {
  readonly at: number
  readonly sent: number
}

/** Bytes a second over the samples of the last seconds. */
export function rateOf(samples: readonly Sample[]): number | undefined {
  const [first, last] = [samples[0], samples.at(-1)]
  if (first === undefined || last === undefined || last.at <= first.at) return undefined
  return ((last.sent - first.sent) * 1000) / (last.at - first.at)
}

export interface Progress extends AsyncDisposable {
  /** So many more bytes, or what else is counted. */
  add(count: number): void
  /** Takes the line away, so that something can be printed; it comes back by itself. */
  hide(): Promise<void>
}

/** Draws until it is disposed of; `total` may come late, or not at all. */
export function createProgress(
  terminal: Terminal,
  total: Promise<number | undefined>,
  clock: Clock,
  unit?: (count: number) => string,
): Progress {
  const stopped = new AbortController()
  const { signal } = stopped
  let [sent, shown] = [0, false]
  let known: number | undefined
  let samples: readonly Sample[] = []
  const sized = total.then(
    size => void (known = size),
    // What cannot be measured cannot be read either: the upload tells.
    () => undefined,
  )
  const hide = async () => {
    if (!shown) return
    shown = false
    await terminal.write(CLEAR_LINE)
  }
  const draw = async () => {
    const at = clock.monotonic()
    samples = [...samples.filter(sample => at - sample.at <= WINDOW_MS), { at, sent }]
    const line = progressLine({
      sent,
      total: known,
      rate: rateOf(samples),
      columns: terminal.columns(),
      unit,
    })
    shown = true
    await terminal.write(CLEAR_LINE + line)
  }
  const loop = async () => {
    while (!signal.aborted) {
      await draw()
      // The reason to stop is our own.
      await clock.sleep(REDRAW_MS, { signal }).catch(() => undefined)
    }
  }
  const looping = loop()
  return {
    add: count => void (sent += count),
    hide,
    async [Symbol.asyncDispose]() {
      stopped.abort()
      await looping
      await hide()
      void sized
    },
  }
}
