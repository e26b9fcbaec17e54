import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { silentLogger } from '@ipfs-cluster/base'
import { formatRequestLog, openRequestLog, redactUrl } from './request-log.ts'

const line = (url: string) =>
  formatRequestLog({
    request: { method: 'GET', url, httpVersion: '1.1' } as IncomingMessage,
    status: 200,
    size: 29,
    host: '::1',
    atMs: Date.UTC(2026, 0, 2, 3, 4, 5, 678),
  })

test('a line is in the Common Log Format', () => {
  assert.equal(line('/id?x=1'), '::1 - - [02/Jan/2026:03:04:05 +0000] "GET /id?x=1 HTTP/1.1" 200 29')
})

test('no request can end its quotes or its line', () => {
  const forged = line('/a" 200 1\r\n::1 - -\\\u00fc\u0000')
  assert.ok(forged.includes(String.raw`"GET /a\" 200 1\x0d\x0a::1 - -\\\xfc\x00 HTTP/1.1" 200 29`), forged)
})

test('logins and tokens in a target are struck out', () => {
  const jwt = 'eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJ1In0.c2VjcmV0'
  const cases: [string, string][] = [
    ['/pins?local=true&filter=pinned', '/pins?local=true&filter=pinned'],
    ['/id?token=abc&x=1', '/id?token=XXX&x=1'],
    ['/id?x=1&Access_Token=abc', '/id?x=1&Access_Token=XXX'],
    ['/id?password=a%20b', '/id?password=XXX'],
    ['http://user:pass@host/id', 'http://XXX@host/id'],
    [`/id?x=${jwt}`, '/id?x=XXX'],
    [`/pins/${jwt}/x`, '/pins/XXX/x'],
    ['/pins/ipfs/bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku', '/pins/ipfs/bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku'],
  ] // prettier-ignore
  for (const [url, redacted] of cases) assert.equal(redactUrl(url), redacted)
})

test('a file is created readable for all, appended to, and whole when closed', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'request-log-'))
  const path = join(folder, 'http.log')
  for (const part of ['a', 'b']) {
    await using log = await openRequestLog(path, 'restapi.http_log_file', silentLogger)
    for (let i = 0; i < 1000; i++) log.write(`${part}${i}`)
  }
  const lines = (await readFile(path, 'utf8')).split('\n')
  assert.equal(lines.length, 2001)
  assert.deepEqual([lines[0], lines[999], lines[1000], lines[2000]], ['a0', 'a999', 'b0', ''])
  assert.equal((await stat(path)).mode & 0o644, 0o644)
  await assert.rejects(openRequestLog(join(folder, 'none', 'x'), 'restapi.http_log_file', silentLogger), {
    code: 'HTTP_LOG_FILE',
    message: /none\/x: .*ENOENT.*; check restapi\.http_log_file/,
  })
  await rm(folder, { recursive: true })
})
