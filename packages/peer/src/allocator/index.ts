/**
 * Decides which peers keep a pin: pure functions from metrics to an ordered choice (Go: `allocator/balanced`, `allocate.go`;
 * reference wire.md 8 "allocate"). No I/O, no clock.
 */
export { allocate, createAllocator, type Allocator } from './allocate.ts'
export { createSpaceLedger, type SpaceLedger } from './space.ts'
export * from './types.ts'
