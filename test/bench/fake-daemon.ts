/**
 * An IPFS daemon that pins without work, as a program of its own: `node fake-daemon.ts [DELAY_MS] [DEAD_SHARE] [HELD]`. It prints its address. CIDs
 * that `isDead` never get pinned; what is pinned is remembered as text only. With HELD it has had the first so many of `HELD_SERIES` for ever, and takes
 * whatever it is asked for to be one of them. Everything a cluster peer asks for is answered.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { benchCids, HELD_SERIES, isDead } from './cids.ts'

/** Of a listing, written at once. */
const LISTING_CHARS = 16 * 1024

/** Of a pin; `bench/delay?ms=` changes it, for those under way too. */
let delayMs = Number(process.argv[2] ?? '0')
let delayChanged = Promise.withResolvers<void>()
const deadShare = Number(process.argv[3] ?? '0')
const held = Number(process.argv[4] ?? '0')

const pins = new Set<string>()
let completed = 0
/** Pins of what was pinned already. */
let repeated = 0

/** Pins of these fail, until they are named again. */
const failing = new Set<string>()

const ID = '12D3KooWGi4UkyKbEGWHFC8nVbEVMhJWHFTYLyhUp7BrqyYJWRAQ'
const fixed: Readonly<Record<string, string>> = {
  id: JSON.stringify({ ID, Addresses: [`/ip4/127.0.0.1/tcp/4001/p2p/${ID}`] }),
  version: '{"Version":"0.44.0","Commit":"","Repo":"16"}',
  'repo/stat':
    '{"RepoSize":1000,"StorageMax":10000000000000,"NumObjects":1,"RepoPath":"/","Version":"fs-repo@16"}',
  'swarm/peers': '{"Peers":[]}',
  'swarm/connect': '{"Strings":[]}',
  'config/show': '{"Datastore":{"StorageMax":"10TB"}}',
  config: '{"Key":"Datastore.StorageMax","Value":"10TB"}',
}

/** Of `pin/ls`, many at a time. */
function* pinLines(): Generator<string> {
  let lines = ''
  for (const some of [pins, benchCids(HELD_SERIES, held)]) {
    for (const cid of some) {
      lines += `{"Cid":"${cid}","Type":"recursive"}\n`
      if (lines.length < LISTING_CHARS) continue
      yield lines
      lines = ''
    }
  }
  if (lines !== '') yield lines
}

const server = createServer(async (request, response) => {
  const url = request.url ?? ''
  const query = url.indexOf('?')
  const path = url.slice('/api/v0/'.length, query < 0 ? undefined : query)
  const cids = Array.from(url.matchAll(/[?&]arg=([^&]+)/g), ([, arg = '']) =>
    arg.replace('%2Fipfs%2F', '').replace('/ipfs/', ''),
  )
  const [cid = ''] = cids
  response.setHeader('Content-Type', 'application/json')
  if (path === 'pin/add') {
    if (isDead(cid, deadShare)) return void response.writeHead(200).write('{"Progress":0}\n')
    if (delayMs > 0) await Promise.race([sleep(delayMs, undefined, { ref: false }), delayChanged.promise])
    if (failing.has(cid)) {
      return void response.writeHead(500).end('{"Message":"the block is bad","Code":0,"Type":"error"}')
    }
    if (pins.has(cid)) repeated++
    pins.add(cid)
    completed++
    return void response.end(`{"Pins":["${cid}"]}\n`)
  }
  if (path === 'pin/rm') {
    pins.delete(cid)
    return void response.end(`{"Pins":["${cid}"]}\n`)
  }
  if (path === 'pin/ls' && cid !== '') {
    const found = '"Type":"recursive","Name":""'
    const missing = cids.find(each => held === 0 && !pins.has(each))
    if (missing !== undefined) {
      return void response
        .writeHead(500)
        .end(`{"Message":"path '${missing}' is not pinned","Code":0,"Type":"error"}`)
    }
    const streams = /[?&]stream=true/.test(url)
    if (streams) return void response.end(cids.map(each => `{"Cid":"${each}",${found}}\n`).join(''))
    return void response.end(`{"Keys":{${cids.map(each => `"${each}":{${found}}`).join()}}}\n`)
  }
  if (path === 'pin/ls') {
    for (const lines of pinLines()) {
      if (!response.write(lines))
        await new Promise<void>(resolve => void response.once('drain', resolve).once('close', resolve))
      if (response.destroyed) return
    }
    return void response.end()
  }
  if (path === 'bench/fail') return void response.end(String(failing.delete(cid) || failing.add(cid).size))
  if (path === 'bench/delay') {
    delayMs = Number(/[?&]ms=(\d+)/.exec(url)?.[1] ?? '0')
    delayChanged.resolve()
    delayChanged = Promise.withResolvers()
    return void response.end()
  }
  if (path === 'bench/pinned') return void response.end(String(pins.size))
  if (path === 'bench/completed') return void response.end(String(completed))
  if (path === 'bench/repeated') return void response.end(String(repeated))
  const answer = fixed[path]
  if (answer === undefined) return void response.writeHead(404).end('404 page not found')
  response.end(`${answer}\n`)
})
server.listen(0, '127.0.0.1', () =>
  console.log(`/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}`),
)
