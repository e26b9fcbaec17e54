import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { silentLogger, systemClock } from '@ipfs-cluster/base'
import { kuboBinary, startRealKubo } from '@ipfs-cluster/testkit'
import { createAdder } from '../../packages/peer/src/adder/index.ts'
import { startTestApi } from '../../packages/peer/src/http/rest/test-api.ts'
import { addCorpus } from './add-corpus.ts'
import { addToCluster, addToKubo, brief, verdictOf } from './add-corpus-run.ts'
import recorded from './fixtures/kubo-add-corpus.json' with { type: 'json' }

const CASES = addCorpus().filter(({ isLarge }) => isLarge !== true)
const fromKubo: Readonly<Record<string, string>> = recorded

/** The REST API with the adder behind it; blocks are read and forgotten. */
async function startApi() {
  const adder = createAdder({
    self: 'self',
    allocate: () => Promise.resolve(['self']),
    async putBlocks(_peer, blocks) {
      for await (const _ of blocks);
    },
    pin: () => Promise.resolve(),
    clock: systemClock,
    logger: silentLogger,
  })
  return await startTestApi({ add: adder.add })
}

describe('names, CIDs, order and sizes of what is added are those of Kubo', () => {
  it(`in ${CASES.length} cases, as recorded`, async () => {
    await using api = await startApi()
    const differences: string[] = []
    for (const each of CASES) {
      const is = brief(await addToCluster(api.urls[0] ?? '', each))
      const wanted = fromKubo[each.id]
      if (is !== wanted && verdictOf(each, 'HTTP') === undefined) {
        differences.push(`${each.id}: ${is} instead of ${wanted}`)
      }
    }
    assert.deepEqual(differences, [])
  })

  it('bare names stand for themselves, and names that are not UTF-8 are refused', async () => {
    await using api = await startApi()
    const add = async (filename: string) => {
      const body = `--b\r\nContent-Disposition: form-data; name="file"; filename="${filename}"\r\n\r\nx\r\n--b--\r\n`
      const headers = { 'Content-Type': 'multipart/form-data; boundary=b' }
      const answer = await fetch(`${api.urls[0]}/add?stream-channels=false`, {
        method: 'POST',
        headers,
        body,
      })
      const json = await answer.json()
      return answer.ok ? json[0].name : json.message
    }
    assert.equal(await add('100%'), '100%')
    assert.equal(await add('100%25'), '100%')
    assert.equal(await add('%C3%A4+b'), 'ä b')
    assert.match(await add('caf%E9'), /the file name "caf%E9" is not UTF-8/)
  })

  it('of every case there is a record', () => {
    assert.deepEqual(new Set(Object.keys(fromKubo)), new Set(CASES.map(({ id }) => id)))
  })

  it(
    'as the daemon says today',
    { skip: kuboBinary === undefined && 'KUBO_BIN does not name an ipfs' },
    async () => {
      await using kubo = await startRealKubo(kuboBinary ?? '')
      const api = `http://127.0.0.1:${kubo.api.split('/').at(-1)}`
      const differences: string[] = []
      for (const each of CASES) {
        const is = brief(await addToKubo(api, each))
        if (is !== fromKubo[each.id]) differences.push(`${each.id}: ${is}, recorded ${fromKubo[each.id]}`)
      }
      assert.deepEqual(differences, [])
    },
  )
})
