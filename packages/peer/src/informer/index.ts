/**
 * Makes the metrics of this peer: free space or repository size, tags, length of the pin queue (Go: `informer/`).
 * `createInformers` publishes them at the cadence of reference wire.md 7; each informer alone is a function of its inputs.
 */
export {
  diskInformer,
  pinQueueInformer,
  tagsInformer,
  type DiskInformerComponents,
  type InformerComponents,
  type PinQueueInformerComponents,
} from './informers.ts'
export { createInformers, type InformersComponents } from './publisher.ts'
export * from './types.ts'
