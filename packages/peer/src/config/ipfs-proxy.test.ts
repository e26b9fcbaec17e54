import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  formatServiceConfig,
  initialConfig,
  parseServiceConfig,
  toPeerConfig,
  type PeerConfig,
} from './index.ts'

/** The proxy of a new configuration whose section is this. */
function proxyOf(
  section: Readonly<Record<string, unknown>> | undefined,
  ipfs: 'ipfshttp' | 'embedded' = 'ipfshttp',
): PeerConfig['ipfsproxy'] {
  const secret = new Uint8Array(32)
  const initial = initialConfig({ consensus: 'crdt', datastore: 'pebble', ipfs, peername: 'host', secret })
  const file = JSON.parse(formatServiceConfig(initial)) as { api: { ipfsproxy?: unknown } }
  if (section === undefined) delete file.api.ipfsproxy
  else file.api.ipfsproxy = section
  return toPeerConfig(parseServiceConfig(JSON.stringify(file), 'host'), '/folder').ipfsproxy
}

test('an empty section has the defaults of Go', () => {
  assert.deepEqual(proxyOf({}), {
    listen: ['/ip4/127.0.0.1/tcp/9095'],
    nodeMultiaddress: '/ip4/127.0.0.1/tcp/5001',
    nodeHttps: false,
    readTimeoutMs: 0,
    readHeaderTimeoutMs: 5_000,
    writeTimeoutMs: 0,
    idleTimeoutMs: 60_000,
    maxHeaderBytes: 4096,
    extractHeadersExtra: [],
    extractHeadersPath: '/api/v0/version',
    extractHeadersTtlMs: 300_000,
  })
})

test('every key arrives', () => {
  const section = {
    listen_multiaddress: ['/ip4/1.2.3.4/tcp/1', '/unix/a/b'],
    node_multiaddress: '/dns4/kubo/tcp/5002',
    node_https: true,
    log_file: 'proxy.log',
    read_timeout: '1s',
    read_header_timeout: '2s',
    write_timeout: '3s',
    idle_timeout: '4s',
    max_header_bytes: 5000,
    extract_headers_extra: ['X-A'],
    extract_headers_path: '/p',
    extract_headers_ttl: '0s',
  }
  assert.deepEqual(proxyOf(section), {
    listen: ['/ip4/1.2.3.4/tcp/1', '/unix/a/b'],
    nodeMultiaddress: '/dns4/kubo/tcp/5002',
    nodeHttps: true,
    logFile: '/folder/proxy.log',
    readTimeoutMs: 1_000,
    readHeaderTimeoutMs: 2_000,
    writeTimeoutMs: 3_000,
    idleTimeoutMs: 4_000,
    maxHeaderBytes: 5000,
    extractHeadersExtra: ['X-A'],
    extractHeadersPath: '/p',
    extractHeadersTtlMs: 0,
  })
  assert.equal(proxyOf({ log_file: '/var/log/proxy.log' })?.logFile, '/var/log/proxy.log')
})

test('there is none without the section; the built-in node has one, too', () => {
  assert.equal(proxyOf(undefined), undefined)
  assert.deepEqual(proxyOf({}, 'embedded'), proxyOf({}))
})
