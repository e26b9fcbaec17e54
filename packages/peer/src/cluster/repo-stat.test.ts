import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PeerId } from '@ipfs-cluster/api'
import { CodedError, raceSignal, silentLogger, type AbortOptions } from '@ipfs-cluster/base'
import { createManualClock, fakePeerId } from '@ipfs-cluster/testkit'
import { createMembers, type MembersComponents } from './members.ts'
import type { ClusterConfig } from './types.ts'

const [SELF, A, B, C] = [0, 1, 2, 3].map(fakePeerId) as [PeerId, PeerId, PeerId, PeerId]
const CONFIG = { peername: 'self' } as ClusterConfig

test('repositories are summed up beyond 2^53; members that fail or do not answer in time are left out', async () => {
  const clock = createManualClock()
  const answers: Record<PeerId, (signal: AbortSignal | undefined) => Promise<unknown>> = {
    [A]: () => Promise.resolve({ repoSize: 2n ** 60n, storageMax: 2n ** 61n }),
    [B]: () => Promise.reject(new CodedError('no', { code: 'RPC_UNAUTHORIZED' })),
    [C]: signal => raceSignal(new Promise(() => undefined), signal),
  }
  const call = (peer: PeerId, _method: unknown, _arg: unknown, { signal }: AbortOptions) =>
    answers[peer]?.(signal)
  const components = {
    network: { peerId: SELF, rpc: { call } },
    monitor: { members: () => [SELF, A, B, C] },
    ipfs: { repoStat: () => Promise.resolve({ repoSize: 1n, storageMax: 10n }) },
    clock,
    logger: silentLogger,
  }
  const members = createMembers(components as unknown as MembersComponents, CONFIG)
  const sum = members.repoStat()
  await clock.advance(15_000)
  assert.deepEqual(await sum, { repoSize: 2n ** 60n + 1n, storageMax: 2n ** 61n + 10n })
})

test('the client’s leaving ends it', async () => {
  const components = {
    network: { peerId: SELF },
    monitor: { members: () => [SELF] },
    ipfs: {
      repoStat: ({ signal }: AbortOptions) => raceSignal(new Promise(() => undefined), signal),
    },
    clock: createManualClock(),
    logger: silentLogger,
  }
  const left = new AbortController()
  const sum = createMembers(components as unknown as MembersComponents, CONFIG).repoStat({
    signal: left.signal,
  })
  left.abort(new Error('left'))
  await assert.rejects(sum, /left/)
})
