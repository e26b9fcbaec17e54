/**
 * The pinset as this peer knows it: pins by CID over the consensus' key-value entries, typed and streamed, plus the durable outbox of
 * changes and the expiry index that are written in the same batch as the pins (Go: `state/dsstate`).
 *
 * Reading only; writing goes through consensus.
 */
export * from './types.ts'
