/**
 * CAR archives and DAGs, for whoever has blocks but no node (`@ipfs-cluster/ipfs/car`): reading and writing archives, walking DAGs.
 */
export { FingerprintSet } from './blocks/fingerprint-set.ts'
export { hasNoLinks, linksOf } from './links.ts'
export { blockKey, carHeader, carSectionHead, dagBlocks, writeCar, type DagOptions } from './unixfs/car.ts'
export { CarError, readCar, type Car } from './unixfs/car-reader.ts'
export type { Block } from './types.ts'
