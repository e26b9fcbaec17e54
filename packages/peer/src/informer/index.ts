/**
 * Makes the metrics of this peer: free space or repository size, tags, length of the pin queue (Go: `informer/`).
 * `createInformers` publishes them at the cadence of reference wire.md 7; each informer alone is a function of its inputs.
 */
export * from './types.ts'
