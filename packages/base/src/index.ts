/**
 * The ground floor: what every room stands on and nothing of the problem itself.
 *
 * Time and chance (`Clock`, `Random`), errors with a code (`CodedError`), structured logging (`Logger`),
 * owned background work (`TaskScope`), bounded concurrency (`Limiter`, `KeyedLock`, `Channel`), bytes, and the
 * ordered key-value `Store` port with its in-memory implementation. The durable implementation lives behind the
 * subpath `@ipfs-cluster/base/level-store`, so that browsers never load it.
 *
 * Only `clock.ts` and `random.ts` may touch the system's time and chance; the linter enforces it.
 */
export * from './abort.ts'
export * from './batched.ts'
export * from './byte-size.ts'
export * from './bytes.ts'
export * from './channel.ts'
export * from './clock.ts'
export * from './duration.ts'
export * from './errors.ts'
export * from './gather.ts'
export * from './lasting-failure.ts'
export * from './limiter.ts'
export * from './logger.ts'
export * from './memo.ts'
export * from './journal.ts'
export * from './memory-store.ts'
export * from './meter.ts'
export * from './pieces.ts'
export { prometheusText } from './prometheus-text.ts'
export * from './random.ts'
export * from './stall-guard.ts'
export * from './store.ts'
export * from './task-scope.ts'
export * from './trace-context.ts'
export * from './tracer.ts'
