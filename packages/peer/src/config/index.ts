/**
 * `service.json`: read as Go reads it, overlaid with `CLUSTER_*` variables, validated with errors that name the key, and written as Go
 * writes it (Go: `config/`, `cmdutils/`; reference api.md 5). One table per section says each key once: JSON name, kind, default,
 * what a missing key means, validation.
 */
export * from './types.ts'
