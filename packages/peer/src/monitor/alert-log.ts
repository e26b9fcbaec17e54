import type { Alert } from '@ipfs-cluster/api'
import { errorMessage, type Logger } from '@ipfs-cluster/base'

/** Alerts kept. */
const MAX_ALERTS = 1000

/** Remembers alerts and tells them to whoever listens. */
export interface AlertLog {
  raise(alert: Alert): void
  /** Newest first. */
  all(): readonly Alert[]
  listen(handler: (alert: Alert) => void): Disposable
}

export function createAlertLog(logger: Logger): AlertLog {
  const handlers = new Set<(alert: Alert) => void>()
  let alerts: readonly Alert[] = []
  return {
    raise(alert) {
      logger.warn(
        { peer: alert.peer, metric: alert.name },
        `metric alert for ${alert.name}: peer ${alert.peer} has not renewed it in time`,
      )
      alerts = [alert, ...alerts].slice(0, MAX_ALERTS)
      for (const handler of handlers) {
        try {
          handler(alert)
        } catch (error) {
          logger.error({ error: errorMessage(error), metric: alert.name }, 'an alert handler failed')
        }
      }
    },
    all: () => alerts,
    listen(handler) {
      handlers.add(handler)
      return { [Symbol.dispose]: () => void handlers.delete(handler) }
    },
  }
}
