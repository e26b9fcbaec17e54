export { document, type JsonCodec, type JsonValue } from './values.ts'
export type { JsonSchema } from './schema.ts'
export { indentJson, jsonString, parseJson } from './text.ts'
export {
  addedOutputCodec,
  addedOutputsCodec,
  alertsCodec,
  bandwidthCodec,
  connectGraphCodec,
  errorCodec,
  globalPinInfoCodec,
  globalRepoGCCodec,
  idCodec,
  metricCodec,
  metricNamesCodec,
  metricsCodec,
  openApiCodec,
  peerAddBodyCodec,
  pinCodec,
  pinInfoCodec,
  pinInfoShortCodec,
  pinOptionsCodec,
  submittedPinCodec,
  tokenCodec,
  versionCodec,
  type ErrorBody,
  type PeerAddBody,
  type Token,
} from './codecs.ts'
