import { format } from 'node:util'
import type { ComponentLogger, Logger as Libp2pLogger } from '@libp2p/interface'
import { errorMessage, type Logger } from '@ipfs-cluster/base'

/**
 * libp2p's own logs, all at `debug` under the facility `libp2p`: its "errors" are mostly what other peers do. Texts are formatted
 * only when a sink writes them, since libp2p logs several lines for each message on a stream. Its traces are left out.
 */
export function libp2pLogger(logger: Logger): ComponentLogger {
  const sink = logger.child('libp2p')
  return { forComponent: name => scopedLogger(sink, name) }
}

function scopedLogger(sink: Logger, component: string): Libp2pLogger {
  const write = (formatter: unknown, ...args: unknown[]) => {
    sink.debug({ component, text: new LazyText(formatter, args) }, 'libp2p')
  }
  return Object.assign(write, {
    error: write,
    trace: () => undefined,
    enabled: true,
    newScope: (scope: string) => scopedLogger(sink, `${component}:${scope}`),
  })
}

class LazyText {
  readonly #formatter: unknown
  readonly #args: readonly unknown[]

  constructor(formatter: unknown, args: readonly unknown[]) {
    this.#formatter = formatter
    this.#args = args
  }

  toString(): string {
    if (typeof this.#formatter !== 'string') return format(this.#formatter, ...this.#args)
    // %a %p %c %k %b %t %m stand for addresses, peers, CIDs and the like, %e for errors.
    const formatter = this.#formatter.replace(/%[apckbtme]/g, '%s')
    return format(formatter, ...this.#args.map(readable))
  }

  toJSON(): string {
    return this.toString()
  }
}

function readable(value: unknown): unknown {
  if (value instanceof Error) return errorMessage(value)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.getPrototypeOf(value) === Object.prototype ? value : String(value)
}
