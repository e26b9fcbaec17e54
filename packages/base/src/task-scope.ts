import { asError, errorMessage } from './errors.ts'
import type { Logger } from './logger.ts'

/** Background work that somebody owns: it is aborted and awaited when the owner is disposed. */
export interface TaskScope extends AsyncDisposable {
  /** Aborts when the scope is disposed. */
  readonly signal: AbortSignal
  /**
   * Starts `work` now. A failure is logged as an error under `name`, unless the scope is already closing.
   * Ignored after disposal began.
   */
  run(name: string, work: (signal: AbortSignal) => Promise<void>): void
}

export function createTaskScope(logger: Logger): TaskScope {
  const controller = new AbortController()
  const running = new Set<Promise<void>>()
  return {
    signal: controller.signal,
    run(name, work) {
      if (controller.signal.aborted) return
      const task = Promise.resolve()
        .then(() => work(controller.signal))
        .catch((error: unknown) => {
          if (controller.signal.aborted) return
          logger.error({ task: name, err: asError(error) }, `background task failed: ${errorMessage(error)}`)
        })
        .finally(() => running.delete(task))
      running.add(task)
    },
    async [Symbol.asyncDispose]() {
      controller.abort(new DOMException('stopped', 'AbortError'))
      while (running.size > 0) await Promise.all(running)
    },
  }
}
