import type { Metric } from '@ipfs-cluster/api'
import type { AbortOptions } from '@ipfs-cluster/base'

export interface Informer {
  readonly name: string
  /** Rejects only when aborted: a failure is an invalid metric. */
  metrics(options?: AbortOptions): Promise<readonly Metric[]>
}

export interface InformerConfig {
  readonly disk: { readonly metricTtlMs: number; readonly metricType: 'freespace' | 'reposize' } | undefined
  readonly tags: { readonly metricTtlMs: number; readonly tags: Readonly<Record<string, string>> } | undefined
  readonly pinqueue: { readonly metricTtlMs: number; readonly weightBucketSize: number } | undefined
}

export interface Informers extends AsyncDisposable {
  /** Publishes every informer's metrics now (after a join, or after many pins). */
  publishNow(options?: AbortOptions): Promise<void>
}
