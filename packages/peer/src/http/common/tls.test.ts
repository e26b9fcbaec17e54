import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { tlsProblem } from './tls.ts'

const file = (name: string) => readFileSync(new URL(`fixtures/${name}`, import.meta.url), 'utf8')
const rsa = { cert: file('cert.pem'), key: file('key.pem') }
const ec = { cert: file('ec-cert.pem'), key: file('ec-key.pem') }

test('a certificate and its key fit', () => {
  assert.equal(tlsProblem(rsa), undefined)
  assert.equal(tlsProblem(ec), undefined)
  assert.equal(tlsProblem({ ...rsa, cert: rsa.cert + ec.cert }), undefined)
})

test('what does not fit is named, and nothing of a key is shown', () => {
  const encrypted = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'hidden' },
  }).privateKey
  const cases: [Partial<typeof rsa>, 'cert' | 'key', RegExp][] = [
    [{ cert: '' }, 'cert', /holds no certificate in PEM/],
    [{ cert: rsa.key }, 'cert', /holds no certificate in PEM/],
    [{ cert: rsa.cert.replace(/\n[^\n]+\n/, '\n') }, 'cert', /holds no certificate that can be read/],
    [{ key: '' }, 'key', /holds no private key in PEM/],
    [{ key: rsa.cert }, 'key', /holds no private key in PEM/],
    [{ key: rsa.key.replace(/\n[^\n]+\n/, '\n') }, 'key', /holds no private key that can be read/],
    [{ key: encrypted }, 'key', /holds no private key that can be read/],
    [{ key: ec.key }, 'key', /is not the key of the certificate/],
  ]
  for (const [change, of, why] of cases) {
    const problem = tlsProblem({ ...rsa, ...change })
    assert.equal(problem?.of, of)
    assert.match(problem.why, why)
    for (const secretLine of rsa.key.split('\n').slice(1, 4)) assert.ok(!problem.why.includes(secretLine))
  }
})
