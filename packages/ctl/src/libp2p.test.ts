import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { serveRoutes, type TestServer } from '@ipfs-cluster/api/test-server'
import { handlers } from './test-peer.ts'

const program = fileURLToPath(new URL('../bin/ipfs-cluster-ctl.mjs', import.meta.url))

/** Nobody listens there. */
const NOBODY = '/ip4/127.0.0.1/tcp/1/p2p/12D3KooWAUjbd3CHGqy7nzCUu1hrM9KaD3D8K1XwaKFudXvCLqGH'
const SECRET = '00'.repeat(32)

/** Prints how many files of libp2p were loaded, as the last line of stderr. */
const COUNTER = `data:text/javascript,${encodeURIComponent(`
  import { registerHooks } from 'node:module'
  let count = 0
  registerHooks({
    load(url, context, next) {
      if (/\\/node_modules\\/(@libp2p|libp2p)\\/|\\/packages\\/peer\\/|@ipfs-cluster\\/peer/.test(url)) count++
      return next(url, context)
    },
  })
  process.on('exit', () => process.stderr.write('\\nlibp2p modules: ' + count + '\\n'))
`)}`

interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
  readonly modules: number
}

async function ctl(...words: readonly string[]): Promise<Outcome> {
  const child = spawn(process.execPath, ['--import', COUNTER, program, ...words])
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const [code] = (await once(child, 'close')) as [number]
  const [, said = '', modules = ''] = /^(.*)\nlibp2p modules: (\d+)\n$/s.exec(stderr) ?? []
  return { code, stdout, stderr: said, modules: Number(modules) }
}

let server: TestServer
let http = ''

before(async () => {
  server = await serveRoutes(handlers)
  http = `/ip4/127.0.0.1/tcp/${new URL(server.url).port}`
})

after(async () => await server[Symbol.asyncDispose]())

test('libp2p is not loaded for help, nor for a host over HTTP, nor as long as an earlier host answers', async () => {
  for (const words of [['--help'], ['--host', http, 'id'], ['--host', `${http},${NOBODY}`, 'version']]) {
    const { code, modules } = await ctl(...words)
    assert.deepEqual([code, modules], [0, 0], words.join(' '))
  }
})

test('a host over libp2p loads it, and what follows is asked when that does not answer', async () => {
  const { code, stdout, modules } = await ctl('--host', `${NOBODY},${http}`, '--enc', 'json', 'version')
  assert.equal(code, 0)
  assert.match(stdout, /"version"/)
  assert.ok(modules > 50, `${modules} modules`)
})

test('a host over libp2p that is not there is an error without an answer', async () => {
  const { code, stdout } = await ctl('--host', NOBODY, '--secret', SECRET, 'id')
  assert.equal(code, 1)
  assert.match(stdout, /Code: 0\n {2}Message: GET .*cannot connect to .*\/tcp\/1\/p2p\//s)
})

test('what can be seen to be wrong is said before anything is loaded', async () => {
  const cases: [readonly string[], RegExp][] = [
    [['--secret', 'xyz'], /^error parsing secret: /],
    [['--secret', 'abcd'], /^error creating API client: --secret has 2 bytes instead of 32/],
    [
      ['--host', NOBODY.replace(/.*(?=\/p2p\/)/, '')],
      /^error creating API client: .* only includes a peer ID/,
    ],
    [['--host', '/ip4/127.0.0.1/tcp/9094/p2p/nobody'], /^error parsing host multiaddress: /],
  ]
  for (const [flags, message] of cases) {
    const { code, stdout, stderr, modules } = await ctl('--host', NOBODY, ...flags, 'id')
    assert.match(stderr, message)
    assert.deepEqual([code, stdout, modules], [1, '', 0])
  }
})

test('a secret is of no interest to other hosts, however long it is', async () => {
  assert.equal((await ctl('--host', http, '--secret', 'abcd', 'version')).code, 0)
})
