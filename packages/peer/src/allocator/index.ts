/**
 * Decides which peers keep a pin: pure functions from metrics to an ordered choice (Go: `allocator/balanced`, `allocate.go`;
 * reference wire.md 8 "allocate"). No I/O, no clock.
 */
export { allocate } from './allocate.ts'
export * from './types.ts'
