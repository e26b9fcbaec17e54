/**
 * The pinset as this peer knows it: pins by CID over the consensus' key-value entries, typed and streamed, plus the durable outbox of
 * changes and the expiry index that are written in the same batch as the pins (Go: `state/dsstate`). Its rows are in `layout.ts`.
 *
 * Reading only; writing goes through consensus.
 */
export * from './types.ts'
export { openPinOutbox, type PinOutbox } from './outbox.ts'
export { cidOfPinKey, pinKey } from './pin-key.ts'
export { createPinState, type PinStateComponents, type PinStateRoom } from './state.ts'
