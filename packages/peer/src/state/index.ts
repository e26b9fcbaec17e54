/**
 * The pinset as this peer knows it: pins by CID over the consensus' key-value entries, typed and streamed, plus the durable outbox of
 * changes and the expiry index that are written in the same batch as the pins (Go: `state/dsstate`). Its rows are in `layout.ts`.
 *
 * Reading only; writing goes through consensus. For tools that work while no peer runs, `replace-store.ts` swaps the whole store.
 */
export * from './types.ts'
export { listingTime, type CountOptions, type NewestOptions } from './newest.ts'
export { openPinOutbox, type PinOutbox } from './outbox.ts'
export { cidOfPinKey, pinKey } from './pin-key.ts'
export { createPinState, type PinStateComponents, type PinStateRoom } from './state.ts'
export { removeStore, replaceStore, settleStore } from './replace-store.ts'
