import type { PeerId } from '@ipfs-cluster/api'
import type { Tracer } from '@ipfs-cluster/base'
import { VERSION } from '../version.ts'
import { createExporter, type ExporterComponents } from './exporter.ts'
import { createRecorder } from './recorder.ts'
import type { TracingConfig } from './types.ts'

export type TracingComponents = ExporterComponents & { readonly selfId: PeerId }

/** Disposing sends what is left. */
export interface Tracing extends AsyncDisposable {
  readonly tracer: Tracer
}

/** Records a share of all traces and sends them to the configured endpoint, which may come and go. */
export function createTracing(components: TracingComponents, config: TracingConfig): Tracing {
  const { clock, random, logger, selfId } = components
  const resource = {
    'service.name': config.serviceName,
    'service.version': VERSION,
    'service.instance.id': selfId,
    // As Go's peers call it.
    cluster_id: selfId,
    ...config.resource,
  }
  const exporter = createExporter(components, { ...config, resource })
  const onEnd = exporter.add.bind(exporter)
  const { tracesUrl, samplingProbability, note } = config
  logger.info({ url: tracesUrl, samplingProbability }, note === undefined ? 'tracing' : `tracing. ${note}`)
  return {
    tracer: createRecorder({ clock, random, onEnd }, samplingProbability),
    [Symbol.asyncDispose]: () => exporter[Symbol.asyncDispose](),
  }
}
