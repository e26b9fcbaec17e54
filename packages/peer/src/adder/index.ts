/**
 * Content in: chunks and hashes files (or reads a CAR), streams the blocks to the peers that will keep them and pins the root
 * (Go: `adder/`; reference wire.md 11, api.md 1.6). The multipart parsing is HTTP's; the choice of peers is cluster's.
 */
export * from './types.ts'
export { createAdder, type CreateAdderComponents } from './adder.ts'
export { linksBeyond, matchesCid, withoutIdentities } from './car-block.ts'
export { createCarLedger, type CarLedger, type OpenScratch } from './car-ledger.ts'
export { AdderError, type AdderFailure } from './errors.ts'
