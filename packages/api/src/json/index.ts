export { document, type JsonCodec, type JsonValue } from './values.ts'
export type { JsonSchema } from './schema.ts'
export { indentJson, jsonString, parseJson } from './text.ts'
export {
  addedOutputCodec,
  addedOutputsCodec,
  alertsCodec,
  bandwidthCodec,
  bulkAnswerCodec,
  connectGraphCodec,
  errorCodec,
  globalRepoGCCodec,
  idCodec,
  metricCodec,
  metricNamesCodec,
  metricsCodec,
  openApiCodec,
  peerAddBodyCodec,
  tokenCodec,
  versionCodec,
  type BulkAnswer,
  type ErrorBody,
  type PeerAddBody,
  type Token,
} from './codecs.ts'
export {
  globalPinInfoCodec,
  pinCodec,
  pinInfoCodec,
  pinInfoShortCodec,
  pinOptionMembers,
  pinOptionsCodec,
  pinOptionsOver,
  submittedPinCodec,
} from './pin-codecs.ts'
