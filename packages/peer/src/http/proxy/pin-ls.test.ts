import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { newPin, type Pin } from '@ipfs-cluster/api'
import { Batched } from '@ipfs-cluster/base'
import { waitFor } from '@ipfs-cluster/testkit'
import type { Cluster } from '../../cluster/index.ts'
import { CID1, CID2, CID3, mockCluster } from '../rest/mock-cluster.ts'
import { rawRequest } from '../rest/test-api.ts'
import { ask, error, open, startDaemon, startProxy, type TestProxy } from './test-proxy.ts'

async function withProxy(
  cluster: Partial<Cluster>,
  work: (proxy: TestProxy) => Promise<void>,
): Promise<void> {
  await using daemon = await startDaemon((_request, response) => void response.end())
  await using proxy = await startProxy({ cluster: { ...mockCluster(), ...cluster }, api: daemon.api })
  await work(proxy)
}

describe('pin/ls of all pins', () => {
  const listing = (batches: readonly (readonly Pin[])[], failure?: string): Pick<Cluster, 'pins'> => ({
    pins: () =>
      new Batched(
        (async function* () {
          yield* batches
          if (failure !== undefined) throw new Error(failure)
        })(),
      ),
  })
  const direct = newPin(CID3, { mode: 'direct' })

  test('as one object, and one a line', () =>
    withProxy(listing([[newPin(CID1), newPin(CID2)], [], [direct]]), async proxy => {
      const all = await ask(proxy, '/pin/ls')
      assert.deepEqual(JSON.parse(all.body), {
        Keys: {
          [CID1.toString()]: { Type: 'recursive' },
          [CID2.toString()]: { Type: 'recursive' },
          [CID3.toString()]: { Type: 'direct' },
        },
      })
      for (const option of ['stream', 's']) {
        const { body, headers, trailers } = await ask(proxy, `/pin/ls?${option}=true`)
        assert.deepEqual(
          body,
          [CID1, CID2].map(cid => `{"Cid":"${cid}","Type":"recursive"}\n`).join('') +
            `{"Cid":"${CID3}","Type":"direct"}\n`,
        )
        assert.equal(headers['trailer'], 'X-Stream-Error')
        assert.deepEqual({ ...trailers }, {})
      }
    }))

  test('of nothing', () =>
    withProxy(listing([]), async proxy => {
      assert.equal((await ask(proxy, '/pin/ls')).body, '{"Keys":{}}')
      assert.deepEqual(await ask(proxy, '/pin/ls?stream=true').then(({ status, body }) => [status, body]), [
        200,
        '',
      ])
    }))

  test('a client of HTTP/1.0 gets it without chunks', () =>
    withProxy(listing([[newPin(CID1)]]), async proxy => {
      const { body, headers } = await rawRequest(
        proxy.url,
        `POST /api/v0/pin/ls?stream=true HTTP/1.0\r\n\r\n`,
      )
      assert.equal(body, `{"Cid":"${CID1}","Type":"recursive"}\n`)
      assert.equal(headers['trailer'], undefined)
    }))

  test('a failure is an error before the answer has begun, and never looks like an end', () =>
    withProxy(listing([], 'no pinset'), async proxy => {
      const { status, body } = await ask(proxy, '/pin/ls')
      assert.deepEqual([status, body], [500, error('no pinset')])
      const streamed = await ask(proxy, '/pin/ls?stream=true')
      assert.deepEqual([streamed.status, streamed.trailers['x-stream-error']], [200, 'no pinset'])
      await using daemon = await startDaemon(() => undefined)
      await using other = await startProxy({
        cluster: { ...mockCluster(), ...listing([[newPin(CID1)]], 'half of it') },
        api: daemon.api,
      })
      await assert.rejects(ask(other, '/pin/ls'), /aborted|ECONNRESET|socket hang up/)
    }))

  test('a reader that is slow holds the listing, one that leaves ends it', async () => {
    let given = 0
    let ended = false
    const endless = {
      pins: () =>
        new Batched(
          (async function* () {
            try {
              const batch = Array.from({ length: 1000 }, () => newPin(CID1))
              while (true) {
                given++
                yield batch
              }
            } finally {
              ended = true
            }
          })(),
        ),
    }
    await withProxy(endless, async proxy => {
      for (const query of ['', '?stream=true']) {
        ended = false
        const left = new AbortController()
        const answer = await open(`${proxy.url}/api/v0/pin/ls${query}`, { signal: left.signal })
        answer.on('error', () => undefined)
        answer.pause()
        let before = -1
        // Whatever the sockets take on both sides, it comes to an end: far below what the endless listing would give.
        while (before !== given) {
          before = given
          await new Promise(done => setTimeout(done, 100))
          assert.ok(given < 5_000)
        }
        assert.ok(!ended)
        left.abort()
        await waitFor(() => ended, { what: 'the listing is given up' })
      }
    })
  })
})
