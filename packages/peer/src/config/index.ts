/**
 * `service.json`: read as Go reads it, overlaid with `CLUSTER_*` variables, validated with errors that name the key, and written as Go
 * writes it (Go: `config/`, `cmdutils/`; reference api.md 5). One table per section says each key once: JSON name, kind, default,
 * what a missing key means, validation. `toPeerConfig` turns the file's view into what the rooms take.
 */
export * from './types.ts'
export * from './errors.ts'
export { loadServiceConfig, saveServiceConfig, servicePath, type LoadOptions } from './files.ts'
export { LockError, lockFolder, locked } from './lock.ts'
export { parseSecret } from './kinds.ts'
export { STORE_FOLDER, toPeerConfig } from './peer-config.ts'
export { factorProblem } from './replication.ts'
export type { Environment } from './section.ts'
export { metricsSection, tracingSection } from './sections.ts'
export {
  displayServiceConfig,
  formatServiceConfig,
  initialConfig,
  parseServiceConfig,
  validateServiceConfig,
  withEnvironment,
  type ConsensusName,
  type DatastoreName,
  type IpfsConnectorName,
  type ServiceConfig,
} from './service-config.ts'
