/**
 * Brings the local IPFS daemon in line with the pinset and knows the status of every pin here (Go: `pintracker/stateless`, `optracker`;
 * reference wire.md 9). Status, attempts, due times and errors are rows of a durable table; queues are range scans of it, so a million
 * queued pins cost disk and a restart resumes without a sweep.
 *
 * It decides when to pin, unpin and retry; not where (allocator), and it never writes the pinset (cluster).
 */
export * from './types.ts'
