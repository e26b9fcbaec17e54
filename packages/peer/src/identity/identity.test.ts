import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { generateKeyPair, privateKeyToProtobuf } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import {
  applyIdentityEnv,
  createIdentity,
  formatIdentity,
  IdentityError,
  loadIdentity,
  parseIdentity,
  saveIdentity,
  type Identity,
} from './index.ts'

let folder = ''

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'identity-'))
})

after(async () => {
  await rm(folder, { recursive: true })
})

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64')

function hasCode(code: string, text: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof IdentityError)
    assert.equal(error.code, code)
    assert.match(error.message, text)
    return true
  }
}

async function rsaIdentity(): Promise<Identity> {
  const key = await generateKeyPair('RSA', 2048)
  return { id: peerIdFromPrivateKey(key).toString(), privateKey: privateKeyToProtobuf(key) }
}

describe('identity file', () => {
  test('is written as Go writes it and read back', async () => {
    const identity = await createIdentity()
    await saveIdentity(folder, identity)
    const path = join(folder, 'identity.json')
    assert.equal(
      await readFile(path, 'utf8'),
      `{\n    "id": "${identity.id}",\n    "private_key": "${base64(identity.privateKey)}"\n}`,
    )
    assert.equal((await stat(path)).mode & 0o777, 0o600)
    assert.match(identity.id, /^12D3KooW/)
    assert.match(base64(identity.privateKey), /^CAES/)
    assert.deepEqual(await loadIdentity(folder), identity)
  })

  test('replaces an older one', async () => {
    const identity = await createIdentity()
    await saveIdentity(folder, await createIdentity())
    await saveIdentity(folder, identity)
    assert.deepEqual(await loadIdentity(folder), identity)
  })

  test('may hold an RSA key', async () => {
    const identity = await rsaIdentity()
    assert.match(identity.id, /^Qm/)
    assert.match(base64(identity.privateKey), /^CAAS/)
    await saveIdentity(folder, identity)
    assert.deepEqual(await loadIdentity(folder), identity)
  })

  test('keys match without regard to case, unknown ones are ignored', async () => {
    const identity = await createIdentity()
    const json = JSON.stringify({ ID: identity.id, Private_Key: base64(identity.privateKey), more: 1 })
    assert.deepEqual(parseIdentity(json), identity)
  })

  test('that is missing names itself and the way out', async () => {
    const missing = join(folder, 'nowhere')
    await assert.rejects(loadIdentity(missing), hasCode('IDENTITY_MISSING', /nowhere\/identity\.json.*init/))
  })

  test('that is broken names itself and never shows the key', async () => {
    const { privateKey, id } = await createIdentity()
    const key = base64(privateKey)
    for (const text of [
      `{"id": "${id}", "private_key": "${key}"`,
      '[]',
      `{"id": "${id}"}`,
      `{"id": "${id}", "private_key": "${key}!"}`,
      `{"id": "${id}", "private_key": "AAAA"}`,
      `{"id": 7, "private_key": "${key}"}`,
      `{"id": "peer", "private_key": "${key}"}`,
    ]) {
      await writeFile(join(folder, 'identity.json'), text)
      await assert.rejects(loadIdentity(folder), error => {
        assert.ok(!JSON.stringify([error, String(error), String((error as Error).cause)]).includes(key))
        return hasCode('IDENTITY_INVALID', /identity\.json cannot be used/)(error)
      })
    }
  })

  test('whose id is not that of the key is refused', async () => {
    const [one, other] = [await createIdentity(), await createIdentity()]
    const text = formatIdentity({ id: one.id, privateKey: other.privateKey })
    assert.throws(
      () => parseIdentity(text),
      hasCode('IDENTITY_MISMATCH', new RegExp(`${one.id}.*${other.id}`)),
    )
  })

  test('that cannot be written is an error with the path', async () => {
    await writeFile(join(folder, 'file'), '')
    await assert.rejects(
      saveIdentity(join(folder, 'file'), await createIdentity()),
      hasCode('IDENTITY_UNWRITABLE', /file\/identity\.json/),
    )
  })
})

describe('environment', () => {
  test('replaces id and key together', async () => {
    const [file, env] = [await createIdentity(), await rsaIdentity()]
    const variables = { CLUSTER_ID: env.id, CLUSTER_PRIVATEKEY: base64(env.privateKey) }
    assert.deepEqual(parseIdentity(formatIdentity(file), variables), env)
    assert.deepEqual(applyIdentityEnv(file, variables), env)
    await saveIdentity(folder, file)
    assert.deepEqual(await loadIdentity(folder, variables), env)
  })

  test('set but empty changes nothing', async () => {
    const file = await createIdentity()
    assert.deepEqual(parseIdentity(formatIdentity(file), { CLUSTER_ID: '', CLUSTER_PRIVATEKEY: '' }), file)
  })

  test('with only one of the two is a mismatch', async () => {
    const [file, env] = [await createIdentity(), await createIdentity()]
    assert.throws(
      () => parseIdentity(formatIdentity(file), { CLUSTER_ID: env.id }),
      hasCode('IDENTITY_MISMATCH', /CLUSTER_PRIVATEKEY/),
    )
  })
})
