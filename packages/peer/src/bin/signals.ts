import type { Logger } from '@ipfs-cluster/base'
import type { CommandIo } from './io.ts'

const BANNER = `
*************************************************************************
Shutting down takes its time. One more signal ends the peer at once; what
it has not saved by then may be lost.
*************************************************************************

`

/** Whether the peer was told to stop. */
export interface Stop extends Disposable {
  /** Fires at the first signal. */
  readonly signal: AbortSignal
  /** Resolves with it. */
  readonly requested: Promise<void>
}

/** The first signal stops the peer in order, the second warns, the third ends the process with 1 (Go: `cmdutils.HandleSignals`). */
export function onStop(io: CommandIo, logger: Logger): Stop {
  const requested = Promise.withResolvers<void>()
  const controller = new AbortController()
  let count = 0
  const handler = io.onSignal(name => {
    count++
    if (count === 1) {
      logger.info(`${name}: shutting down`)
      requested.resolve()
      controller.abort(new Error(`stopped by ${name}`))
    } else if (count === 2) {
      io.stderr.write(BANNER)
    } else {
      io.stderr.write('exiting cluster NOW\n')
      io.exit(1)
    }
  })
  return {
    signal: controller.signal,
    requested: requested.promise,
    [Symbol.dispose]: () => handler[Symbol.dispose](),
  }
}
