import { Buffer } from 'node:buffer'
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys'
import { CodedError, errorCode, errorMessage, utf8 } from '@ipfs-cluster/base'
import { peerIdFromPrivateKey, peerIdFromString } from '@libp2p/peer-id'
import type { Identity } from './types.ts'

/** Go: `config.DefaultIdentityFile` */
export const IDENTITY_FILE = 'identity.json'

/** Environment variables that override the file (Go: `Identity.ApplyEnvVars`). */
export type IdentityEnv = Readonly<Record<string, string | undefined>>

export type IdentityFailure =
  | { readonly code: 'IDENTITY_MISSING'; readonly path: string }
  | { readonly code: 'IDENTITY_UNREADABLE'; readonly path: string }
  | { readonly code: 'IDENTITY_UNWRITABLE'; readonly path: string }
  | { readonly code: 'IDENTITY_INVALID'; readonly source: string }
  | {
      readonly code: 'IDENTITY_MISMATCH'
      readonly source: string
      readonly id: string
      readonly keyId: string
    }

export class IdentityError extends CodedError<IdentityFailure> {
  override readonly name = 'IdentityError'
}

/** Fields as they stand in the file and in the environment, not checked yet. */
interface RawIdentity {
  readonly id: string
  readonly privateKey: string
}

/** A new Ed25519 identity; nothing is written. */
export async function createIdentity(): Promise<Identity> {
  const key = await generateKeyPair('Ed25519')
  return { id: peerIdFromPrivateKey(key).toString(), privateKey: privateKeyToProtobuf(key) }
}

/**
 * Reads `identity.json` of a configuration folder. `CLUSTER_ID` and `CLUSTER_PRIVATEKEY` in `env` replace its fields.
 *
 * @throws IdentityError any code but `IDENTITY_UNWRITABLE`; messages name the file.
 */
export async function loadIdentity(folder: string, env: IdentityEnv = {}): Promise<Identity> {
  const path = join(folder, IDENTITY_FILE)
  return parseIdentity(await readIdentityFile(path), env, path)
}

/**
 * The identity in the text of an identity file, after the overrides in `env`. Ed25519, RSA, secp256k1 and ECDSA keys.
 *
 * @param source what messages call the text, usually its path.
 * @throws IdentityError `IDENTITY_INVALID`, or `IDENTITY_MISMATCH` when the id is not that of the key.
 */
export function parseIdentity(json: string, env: IdentityEnv = {}, source = IDENTITY_FILE): Identity {
  return checkIdentity(override(parseFields(json, source), env), source)
}

/**
 * What `init` does to a new identity (Go: `config.NewIdentity`, then `ApplyEnvVars`): variables that are set win.
 *
 * @throws IdentityError as `parseIdentity`.
 */
export function applyIdentityEnv(identity: Identity, env: IdentityEnv): Identity {
  return checkIdentity(override(rawIdentity(identity), env), 'CLUSTER_ID and CLUSTER_PRIVATEKEY')
}

/**
 * Writes `identity.json`, replacing an older one in one step: mode 0600, four spaces, no newline at the end, as Go.
 *
 * @throws IdentityError `IDENTITY_UNWRITABLE`
 */
export async function saveIdentity(folder: string, identity: Identity): Promise<void> {
  const path = join(folder, IDENTITY_FILE)
  const temporary = `${path}.new`
  const text = formatIdentity(identity)
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    // A file left by a crash may have other permissions, which `open` would keep.
    await rm(temporary, { force: true })
    const file = await open(temporary, 'wx', 0o600)
    try {
      await file.writeFile(utf8(text))
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    throw new IdentityError(
      `cannot write ${path} (${errorMessage(error)}); make the folder writable for this user`,
      { code: 'IDENTITY_UNWRITABLE', path },
      { cause: error },
    )
  }
}

/** The text of an identity file. */
export function formatIdentity(identity: Identity): string {
  const { id, privateKey } = rawIdentity(identity)
  return JSON.stringify({ id, private_key: privateKey }, undefined, 4)
}

async function readIdentityFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (errorCode(error) === 'ENOENT') {
      throw new IdentityError(
        `there is no identity file ${path}; create one with "ipfs-cluster-service init"`,
        { code: 'IDENTITY_MISSING', path },
        { cause: error },
      )
    }
    throw new IdentityError(
      `cannot read the identity file ${path} (${errorMessage(error)}); make it readable for this user`,
      { code: 'IDENTITY_UNREADABLE', path },
      { cause: error },
    )
  }
}

function parseFields(json: string, source: string): RawIdentity {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch {
    // The cause is left out: the parser quotes the text, and with it perhaps the key.
    throw invalid(source, 'it is not JSON')
  }
  if (typeof value !== 'object' || value === null) throw invalid(source, 'it is not a JSON object')
  const fields = Object.entries(value)
  const text = (name: string): string => {
    // Go matches JSON keys without regard to case.
    const field = fields.find(([key]) => key.toLowerCase() === name)?.[1]
    if (field === undefined) return ''
    if (typeof field !== 'string') throw invalid(source, `"${name}" is not a string`)
    return field
  }
  return { id: text('id'), privateKey: text('private_key') }
}

function override(raw: RawIdentity, env: IdentityEnv): RawIdentity {
  // As for most strings in Go, a variable that is set but empty changes nothing.
  return { id: env['CLUSTER_ID'] || raw.id, privateKey: env['CLUSTER_PRIVATEKEY'] || raw.privateKey }
}

function checkIdentity(raw: RawIdentity, source: string): Identity {
  const privateKey = decodeBase64(raw.privateKey)
  if (privateKey === undefined) throw invalid(source, '"private_key" is missing or not base64')
  let keyId: string
  try {
    keyId = peerIdFromPrivateKey(privateKeyFromProtobuf(privateKey)).toString()
  } catch {
    throw invalid(source, '"private_key" is not a libp2p private key')
  }
  let id: string
  try {
    id = peerIdFromString(raw.id).toString()
  } catch (error) {
    throw invalid(source, '"id" is missing or not a peer id', error)
  }
  if (id !== keyId) {
    throw new IdentityError(
      `the peer id ${id} in ${source} does not belong to the private key, whose id is ${keyId}; ` +
        'restore the file, or set CLUSTER_ID and CLUSTER_PRIVATEKEY together',
      { code: 'IDENTITY_MISMATCH', source, id, keyId },
    )
  }
  return { id, privateKey }
}

function invalid(source: string, reason: string, cause?: unknown): IdentityError {
  return new IdentityError(
    `the identity in ${source} cannot be used: ${reason}; restore the file from a copy, ` +
      'or remove it and run "ipfs-cluster-service init" for a new peer id',
    { code: 'IDENTITY_INVALID', source },
    { cause },
  )
}

function rawIdentity({ id, privateKey }: Identity): RawIdentity {
  return { id, privateKey: Buffer.from(privateKey).toString('base64') }
}

function decodeBase64(text: string): Uint8Array | undefined {
  const complete = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text)
  return text === '' || !complete ? undefined : Uint8Array.from(Buffer.from(text, 'base64'))
}
