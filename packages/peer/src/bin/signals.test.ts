import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { silentLogger, type Logger } from '@ipfs-cluster/base'
import { parsePeerAddress, trustedWith } from './peer-address.ts'
import { onStop } from './signals.ts'

test('the first signal stops in order, the second warns, the third ends the process', async () => {
  const handlers = new Set<(name: string) => void>()
  const [stderr, exits, infos]: [PassThrough, number[], unknown[]] = [new PassThrough(), [], []]
  const logger: Logger = { ...silentLogger, info: (text: unknown) => void infos.push(text) }
  const exited = new Error('exited')
  const io = {
    stdin: new PassThrough(),
    stdout: new PassThrough(),
    stderr,
    env: {},
    pid: 1,
    hostname: 'host',
    onSignal(handler: (name: string) => void) {
      handlers.add(handler)
      return { [Symbol.dispose]: () => void handlers.delete(handler) }
    },
    exit(code: number): never {
      exits.push(code)
      throw exited
    },
  }
  const said = () => String(stderr.read() ?? '')
  const send = (name: string) => handlers.forEach(handler => handler(name))
  {
    using stop = onStop(io, logger)
    assert.equal(stop.signal.aborted, false)
    send('SIGTERM')
    await stop.requested
    assert.equal(stop.signal.aborted, true)
    assert.deepEqual(infos, ['SIGTERM: shutting down'])
    assert.equal(said(), '')
    send('SIGHUP')
    assert.match(said(), /\*{10}\n.*One more signal ends the peer at once/s)
    assert.deepEqual(exits, [])
    assert.throws(() => send('SIGINT'), exited)
    assert.equal(said(), 'exiting cluster NOW\n')
    assert.deepEqual(exits, [1])
  }
  assert.equal(handlers.size, 0)
})

const ID = '12D3KooWAuRYCfgCKTyZpxJNuxPZ7fisG7J9eZPMDBZPESVoXFbT'
const OTHER = 'QmPSoSaPXpyunaBwHs1rZBKYSqRV4bLRk32VGYLuvdrypL'

test('an address of a peer', () => {
  const address = `/ip4/1.2.3.4/tcp/9096/p2p/${ID}`
  assert.deepEqual(parsePeerAddress(` ${address} `), { address, id: ID, isReachable: true })
  assert.deepEqual(parsePeerAddress(`/ip4/1.2.3.4/tcp/9096/ipfs/${ID}`), {
    address,
    id: ID,
    isReachable: true,
  })
  assert.deepEqual(parsePeerAddress(`/p2p/${ID}`), { address: `/p2p/${ID}`, id: ID, isReachable: false })
  assert.equal(parsePeerAddress('/ip4/1.2.3.4/tcp/9096').id, undefined)
  assert.throws(() => parsePeerAddress('nonsense'))
})

test('peers to join are trusted once', () => {
  const peers = [ID, ID].map(id => parsePeerAddress(`/ip4/1.2.3.4/tcp/1/p2p/${id}`))
  peers.push(parsePeerAddress('/ip4/1.2.3.4/tcp/1'))
  assert.deepEqual(trustedWith([OTHER], peers), [OTHER, ID])
  assert.deepEqual(trustedWith([OTHER, ID], peers), [OTHER, ID])
  assert.deepEqual(trustedWith([], []), [])
  assert.equal(trustedWith('all', peers), 'all')
})
