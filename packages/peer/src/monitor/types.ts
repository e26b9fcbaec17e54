import type { Alert, Metric, PeerId } from '@ipfs-cluster/api'

export interface MonitorConfig {
  /** How often expired metrics are looked for. */
  readonly checkIntervalMs: number
}

export interface PeerMonitor extends AsyncDisposable {
  /** Broadcasts a metric of ours. Invalid metrics are not published. */
  publish(metric: Metric): Promise<void>
  /** Takes a metric as if it had been received: for peers we just met. */
  record(metric: Metric): void
  /** The latest valid, unexpired metric of each peer, sorted by the bytes of the peer id. */
  latest(name: string): readonly Metric[]
  latestOf(name: string, peer: PeerId): Metric | undefined
  names(): readonly string[]
  /** Peers with a valid ping, plus ourselves, sorted by the bytes of the peer id. */
  members(): readonly PeerId[]
  /** Newest first, at most 1000. */
  alerts(): readonly Alert[]
  /** Called once for each peer and metric that expires; again after it has been seen alive in between. */
  onAlert(handler: (alert: Alert) => void): Disposable
}
