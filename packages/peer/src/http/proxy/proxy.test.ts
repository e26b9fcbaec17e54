import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { cidText, newPin } from '@ipfs-cluster/api'
import { CID1, CID2, CID3, ERROR_CID, mockCluster, NOT_FOUND_CID } from '../rest/mock-cluster.ts'
import { head, rawRequest } from '../rest/test-api.ts'
import type { Cluster } from '../../cluster/index.ts'
import {
  ask,
  error,
  open,
  startDaemon,
  startProxy,
  textOf,
  upload,
  type TestDaemon,
  type TestProxy,
} from './test-proxy.ts'

const pins = (...cids: readonly unknown[]) => JSON.stringify({ Pins: cids.map(String) })
/** Says so where a request should not have come. */
const daemonSays = 'the daemon was asked'

async function withProxy(
  cluster: Partial<Cluster>,
  work: (proxy: TestProxy, daemon: TestDaemon) => Promise<void>,
): Promise<void> {
  await using daemon = await startDaemon((_request, response) => void response.end(daemonSays))
  await using proxy = await startProxy({
    cluster: { ...mockCluster(), ...cluster },
    api: daemon.api,
    resolve: path => {
      const cid = [CID1, CID2, CID3].find(each => path.includes(each.toString()))
      return cid ? Promise.resolve(cid) : Promise.reject(new Error(`cannot resolve ${path}`))
    },
  })
  await work(proxy, daemon)
}

describe('hijacked routes', () => {
  test('pins and their errors are answered as by Kubo', () =>
    withProxy({}, async (proxy, daemon) => {
      const notEnough = (text: string) => `invalid path "${text}": path does not have enough components`
      const cases: readonly (readonly [string, number, string])[] = [
        [`/pin/add?arg=${CID1}`, 200, pins(CID2)],
        [`/pin/add?arg=/ipfs/${CID1}&arg=${ERROR_CID}`, 200, pins(CID2)],
        [`/pin/add/${CID1}`, 200, pins(CID2)],
        [`/pin/add/${CID1}?arg=${ERROR_CID}`, 200, pins(CID2)],
        [`/pin/add?arg=${ERROR_CID}`, 500, error('this is an error cid')],
        ['/pin/add', 500, error(`Error parsing IPFS Path: ${notEnough('')}`)],
        ['/pin/add?arg=abc', 500, error(`Error parsing IPFS Path: ${notEnough('abc')}`)],
        [
          `/pin/add?arg=/foo/${CID1}`,
          500,
          error(`Error parsing IPFS Path: invalid path "/foo/${CID1}": unknown namespace: "foo"`),
        ],
        [`/pin/rm?arg=${CID1}`, 200, pins(CID2)],
        [`/pin/rm/${CID1}`, 200, pins(CID2)],
        [`/pin/rm?arg=${NOT_FOUND_CID}`, 500, error('pin is not part of the pinset')],
        [`/pin/rm?arg=${ERROR_CID}`, 500, error('this is an error cid')],
        ['/pin/rm', 500, error(`Error parsing IPFS Path: ${notEnough('')}`)],
        ['/pin/rm/abc', 500, error(`Error parsing IPFS Path: ${notEnough('abc')}`)],
        [`/pin/ls?arg=${CID1}`, 200, `{"Keys":{"${CID1}":{"Type":"recursive"}}}`],
        [`/pin/ls/${CID1}?stream=true`, 200, `{"Cid":"${CID1}","Type":"recursive"}`],
        [`/pin/ls?arg=${NOT_FOUND_CID}`, 500, error(`Error: path '${NOT_FOUND_CID}' is not pinned`)],
        [`/pin/ls?arg=${ERROR_CID}`, 500, error('this is an error cid')],
        ['/pin/ls?arg=abc', 500, error('invalid cid: selected encoding not supported')],
        [`/pin/ls?arg=/ipfs/${CID1}`, 500, error('invalid cid: selected encoding not supported')],
        ['/pin/update', 400, error('argument "from-path" is required')],
        [`/pin/update?arg=${CID1}`, 400, error('argument "to-path" is required')],
        [
          `/pin/update?arg=abc&arg=${CID1}`,
          500,
          error(`error parsing "from-path" argument: ${notEnough('abc')}`),
        ],
        [
          `/pin/update?arg=${CID1}&arg=abc`,
          500,
          error(`error parsing "to-path" argument: ${notEnough('abc')}`),
        ],
        [`/pin/update?arg=${NOT_FOUND_CID}&arg=${CID1}`, 500, error(`cannot resolve /ipfs/${NOT_FOUND_CID}`)],
        [`/pin/update?arg=${CID1}&arg=${CID2}`, 200, pins(CID1, CID2)],
        ['/repo/stat', 200, '{"RepoSize":1000,"StorageMax":10000}'],
      ]
      for (const [path, status, body] of cases) {
        const answer = await ask(proxy, path)
        assert.deepEqual([path, answer.status, answer.body], [path, status, body])
        assert.equal(answer.headers['content-type'], 'application/json')
        assert.equal(answer.headers['server'], 'ipfs-cluster/ipfsproxy/0.0.mock')
      }
      assert.ok(!daemon.requests.some(line => line.includes('pin') && !line.startsWith('OPTIONS')))
    }))

  test('GET and PUT are hijacked, other methods and paths are the daemon’s', () =>
    withProxy({}, async (proxy, daemon) => {
      for (const method of ['GET', 'PUT']) {
        assert.equal(
          (await ask(proxy, '/repo/stat', { method })).body,
          '{"RepoSize":1000,"StorageMax":10000}',
        )
      }
      for (const method of ['HEAD', 'OPTIONS', 'DELETE', 'PATCH']) {
        await ask(proxy, '/pin/add?arg=x', { method })
        assert.equal(daemon.requests.at(-1), `${method} /api/v0/pin/add?arg=x`)
      }
      const forwarded = [
        '/pin',
        '/pin/add/',
        '/pin/add/a/b',
        '/pin/add/a%2Fb',
        '/pin/update/x',
        '/pin/verify',
      ]
      for (const path of [
        ...forwarded,
        '/block/put',
        '/block/put?pin=1',
        '/dag/put',
        '/pin/add/%7Barg%7D/x',
        '/adds',
      ]) {
        assert.equal((await ask(proxy, path)).body, daemonSays)
        assert.equal(daemon.requests.at(-1), `POST /api/v0${path}`)
      }
      assert.equal(await textOf(await open(`${proxy.url}/pin/add`)), daemonSays)
      assert.equal(await textOf(await open(`${proxy.url}/`, { method: 'GET' })), daemonSays)
    }))

  test('paths that are not clean are redirected, unreadable ones refused', () =>
    withProxy({}, async proxy => {
      const redirects = [
        ['/api/v0//version?a=b', '/api/v0/version?a=b'],
        ['/api/v0/pin/../add/', '/api/v0/add/'],
        ['//a', '/a'],
        ['/..', '/'],
      ]
      for (const [from, to] of redirects) {
        const { status, headers, body } = await rawRequest(proxy.url, head('POST', from as string))
        assert.deepEqual([from, status, headers['location'], body], [from, 301, to, ''])
      }
      const broken = await rawRequest(proxy.url, head('POST', '/api/v0/%zz'))
      assert.deepEqual([broken.status, broken.body], [400, error('the path of the request cannot be read')])
      assert.equal((await rawRequest(proxy.url, head('OPTIONS', '*'))).status, 200)
      assert.equal((await rawRequest(proxy.url, head('CONNECT', 'a:1'))).status, 400)
      const two = await rawRequest(
        proxy.url,
        `POST /x HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n`,
      )
      assert.equal(two.status, 400)
    }))

  test('what the pins are asked with', async () => {
    const asked: unknown[] = []
    const pinPath: Cluster['pinPath'] = (path, { mode, pinUpdate, name }) => {
      asked.push([path, mode, pinUpdate && cidText(pinUpdate), name])
      return Promise.resolve(newPin(CID2))
    }
    const unpin: Cluster['unpin'] = cid => {
      asked.push(`unpin ${cid}`)
      return Promise.resolve(newPin(cid))
    }
    await withProxy({ pinPath, unpin }, async proxy => {
      await ask(proxy, `/pin/add?arg=${CID1}/a/../b&type=direct&name=n`)
      await ask(proxy, `/pin/add?arg=/ipns/name&recursive=false`)
      await ask(proxy, `/pin/update?arg=${CID1}&arg=/ipfs/${CID2}&unpin=false`)
      await ask(proxy, `/pin/update?arg=${CID1}&arg=${CID2}`)
      // To itself: it stays pinned.
      assert.equal((await ask(proxy, `/pin/update?arg=${CID2}&arg=${CID2}`)).body, pins(CID2, CID2))
    })
    assert.deepEqual(asked, [
      [`/ipfs/${CID1}/b`, 'direct', null, ''],
      ['/ipns/name', 'recursive', null, ''],
      [`/ipfs/${CID2}`, 'recursive', CID1.toString(), ''],
      [`/ipfs/${CID2}`, 'recursive', CID1.toString(), ''],
      `unpin ${CID1}`,
      [`/ipfs/${CID2}`, 'recursive', CID2.toString(), ''],
    ])
  })
})

describe('repo/gc', () => {
  test('errors stand in one trailer, or among the blocks', () =>
    withProxy({}, async proxy => {
      const lines = [CID1, CID2, CID3].map(cid => `{"Key":{"/":"${cid}"}}\n`).join('')
      const quiet = await ask(proxy, '/repo/gc')
      assert.equal(quiet.body, `${lines}{"Key":{"/":"${ERROR_CID}"}}\n`)
      assert.equal(quiet.trailers['x-stream-error'], 'oops;')
      const inline = await ask(proxy, '/repo/gc?stream-errors=true')
      assert.equal(inline.body, `${lines}{"Key":{"/":"${ERROR_CID}"},"Error":"oops"}\n`)
      assert.deepEqual({ ...inline.trailers }, {})
    }))

  test('entries without a block; a peer that failed is no failure of all', () => {
    const repoGC: Cluster['repoGC'] = () =>
      Promise.resolve({
        peerMap: {
          a: { peer: 'a', peername: 'a', keys: [{ key: null, error: 'bad\nblock' }], error: '' },
          b: { peer: 'b', peername: 'b', keys: [], error: 'unreachable' },
        },
      })
    return withProxy({ repoGC }, async proxy => {
      const { body, trailers } = await ask(proxy, '/repo/gc')
      assert.deepEqual([body, trailers['x-stream-error']], ['{"Key":null}\n', 'bad block;'])
      assert.equal(
        (await ask(proxy, '/repo/gc?stream-errors=true')).body,
        '{"Key":null,"Error":"bad\\nblock"}\n',
      )
    })
  })

  test('a failure of all is an error', () =>
    withProxy({ repoGC: () => Promise.reject(new Error('no gc')) }, async proxy => {
      const { status, body } = await ask(proxy, '/repo/gc')
      assert.deepEqual([status, body], [500, error('no gc')])
    }))
})

describe('add', () => {
  const HASH = 'QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o'
  const file = upload({ 'a&b.txt': 'hello world\n' })

  test('outputs in Kubo’s words', () =>
    withProxy({}, async proxy => {
      const line = `{"Name":"a\\u0026b.txt","Hash":"${HASH}","Size":"20"}`
      const streamed = await ask(proxy, '/add', file)
      assert.deepEqual([streamed.status, streamed.body], [200, `${line}\n`])
      assert.equal(streamed.headers['x-chunked-output'], '1')
      assert.equal(streamed.headers['trailer'], 'X-Stream-Error')
      assert.equal((await ask(proxy, '/add?stream-channels=false', file)).body, `[${line}]\n`)
      const progress = await ask(proxy, '/add?progress=true', file)
      assert.equal(progress.body, `{"Name":"","Bytes":12}\n${line}\n`)
    }))

  test('Kubo’s options that the cluster has', async () => {
    const asked: unknown[] = []
    const add: Cluster['add'] = async function* (parts, { layout, noPin, pin }) {
      asked.push([layout, noPin, pin.name])
      for await (const { content } of parts) for await (const _bytes of content);
      yield* []
    }
    await withProxy({ add }, async proxy => {
      assert.equal((await ask(proxy, '/add?trickle=true&pin=false&name=n', file)).status, 200)
      assert.equal((await ask(proxy, '/add?trickle=1&pin=0&stream-channels=false', file)).body, 'null\n')
    })
    assert.deepEqual(asked, [
      ['trickle', true, 'n'],
      ['balanced', false, ''],
    ])
  })

  test('bad requests', () =>
    withProxy({}, async proxy => {
      const cases: readonly (readonly [string, Parameters<typeof open>[1], string])[] = [
        ['/add', {}, "error reading request: request Content-Type isn't multipart/form-data"],
        [
          '/add',
          { body: file.body },
          "error reading request: request Content-Type isn't multipart/form-data",
        ],
        [
          '/add',
          { ...file, headers: { 'Content-Type': 'multipart/form-data' } },
          'error reading request: no multipart boundary param in Content-Type',
        ],
        ['/add?only-hash=true', file, 'only-hash is not supported when adding to cluster'],
        ['/add?layout=x', file, 'error parsing options:layout parameter is invalid'],
        ['/add?replication-min=x', file, 'error parsing options:parameter replication-min invalid'],
        ['/add?raw-leaves=x', file, 'error parsing options:parameter raw-leaves invalid'],
        ['/add?stream-channels=false&replication-min=3', file, 'replMin too high'],
      ]
      for (const [path, options, message] of cases) {
        const { status, body } = await ask(proxy, path, options)
        assert.deepEqual([path, status, body], [path, 500, error(message)])
      }
      const streamed = await ask(proxy, '/add?replication-min=3', file)
      assert.deepEqual([streamed.status, streamed.trailers['x-stream-error']], [200, 'replMin too high'])
      const cut = await ask(proxy, '/add', { ...file, body: file.body.subarray(0, -20) })
      assert.match(cut.trailers['x-stream-error'] ?? '', /^error reading request: /)
    }))

  test('an upload that is refused is answered before it is whole', () =>
    withProxy({}, async proxy => {
      const many = async function* () {
        yield file.body.subarray(0, -10)
        for (let i = 0; i < 50; i++) yield new Uint8Array(65_536)
      }
      const { status, body } = await ask(proxy, '/add?layout=x', { ...file, body: many() })
      assert.deepEqual([status, body], [500, error('error parsing options:layout parameter is invalid')])
    }))
})

test('the message of an error is Kubo’s form whatever it holds', () => {
  const failing = () => Promise.reject(new Error('a "quoted"\nline <b>'))
  return withProxy({ repoStat: failing }, async proxy => {
    const { status, body } = await ask(proxy, '/repo/stat')
    assert.equal(status, 500)
    assert.equal(body, '{"Message":"a \\"quoted\\"\\nline \\u003cb\\u003e","Code":0,"Type":"error"}')
    assert.equal(JSON.parse(body).Message, 'a "quoted"\nline <b>')
  })
})
