import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLogger } from '@ipfs-cluster/base'
import { createManualClock } from '@ipfs-cluster/testkit'
import { GROWTH_BYTES, LOOK_MS, returnIdleMemory } from './idle-memory.ts'

test('memory is given back when the peer has grown and has little to do, and not again for what is in use', async () => {
  const clock = createManualClock()
  const now = { resident: 100, share: 0, used: 200 }
  let collections = 0
  let returns = 0
  let trims = 0
  const inTurn = [() => Promise.reject(new Error('no space left')), () => Promise.resolve(false)]
  const peer = {
    async returnMemory() {
      returns++
      return (await inTurn.shift()?.()) ?? true
    },
  }
  await using _memory = returnIdleMemory(
    { clock, logger: silentLogger, peer },
    {
      residentBytes: () => now.resident,
      utilization: () => ({ utilization: now.share, active: 0, idle: 0 }),
      collect() {
        collections++
        now.resident = now.used
      },
      trim() {
        trims++
      },
    },
  )
  const look = async (resident: number, share: number) => {
    Object.assign(now, { resident, share })
    await clock.advance(LOOK_MS)
    return collections
  }
  assert.equal(await look(GROWTH_BYTES - 1, 0), 0, 'it is small')
  assert.equal(await look(100 + 2 * GROWTH_BYTES, 0.5), 0, 'it is busy')
  now.used = 100 + GROWTH_BYTES
  assert.equal(await look(100 + 2 * GROWTH_BYTES, 0), 1)
  assert.equal(await look(100 + GROWTH_BYTES + 1, 0), 1, 'all of it is in use')
  assert.equal(await look(50, 0), 1)
  assert.equal(await look(50 + GROWTH_BYTES, 0), 2, 'grown from where it had come down to')
  assert.equal(returns, 4, 'what could not be given back is tried again, without a collection')
  assert.equal(trims, 4, 'also what the peer gave back to malloc')
})
