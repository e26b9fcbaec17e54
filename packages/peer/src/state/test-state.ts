/** The state room over a CRDT that is alone in the world, for tests. */
import { encodePin, type Pin } from '@ipfs-cluster/api'
import { seededRandom, silentLogger, systemClock, type Clock, type JournaledStore } from '@ipfs-cluster/base'
import { createCrdt, defaultCrdtConfig, type CrdtConfig, type CrdtOp } from '@ipfs-cluster/crdt'
import { openPinOutbox } from './outbox.ts'
import { pinKey } from './pin-key.ts'
import { createPinState } from './state.ts'
import type { PinChange, PinChangeBatch } from './types.ts'

/** Dispose of it to stop the CRDT; the store stays. */
export async function openTestState(
  store: JournaledStore,
  config: Partial<CrdtConfig> = {},
  clock: Clock = systemClock,
) {
  const outbox = await openPinOutbox(store)
  const crdt = await createCrdt(
    {
      store,
      blocks: { get: () => Promise.reject(new Error('alone')), notify: () => undefined },
      broadcast: {
        publish: () => Promise.resolve(),
        subscribe: () => ({ [Symbol.dispose]: () => undefined }),
      },
      clock,
      random: seededRandom(1),
      logger: silentLogger,
      projection: changes => outbox.project(changes),
      onChanges: () => outbox.written(),
    },
    { ...defaultCrdtConfig, ...config },
  )
  return {
    crdt,
    ...createPinState({ store, entries: crdt, outbox, logger: silentLogger }),
    [Symbol.asyncDispose]: () => crdt[Symbol.asyncDispose](),
  }
}

export const putPin = (pin: Pin): CrdtOp => ({ type: 'put', key: pinKey(pin.cid), value: encodePin(pin) })

/** All changes of a batch. */
export async function pinsOf(batch: PinChangeBatch | Promise<PinChangeBatch>): Promise<PinChange[]> {
  return (await Array.fromAsync((await batch).changes(2))).flat()
}
