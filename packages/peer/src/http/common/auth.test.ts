import assert from 'node:assert/strict'
import { createHmac, generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { silentLogger, systemClock, type Logger } from '@ipfs-cluster/base'
import { SignJWT, UnsecuredJWT, type JWTPayload } from 'jose'
import { createAuthenticator } from './auth.ts'

const CREDENTIALS = {
  user: 'pass',
  other: 'word',
  empty: '',
  '': 'nameless',
  ü: 'pä:ss',
  ['__proto__']: 'proto-pass',
}
const BEARER = 'Bearer realm="Restricted IPFS Cluster API"'
const BASIC = 'Basic realm="Restricted IPFS Cluster API"'

const auth = createAuthenticator({ clock: systemClock, logger: silentLogger }, CREDENTIALS)
const key = (text: string) => new TextEncoder().encode(text)
const basic = (login: string | Buffer) =>
  `Basic ${(typeof login === 'string' ? Buffer.from(login) : login).toString('base64')}`
const jwt = async (claims: JWTPayload, password = 'pass', alg = 'HS256') =>
  `Bearer ${await new SignJWT(claims).setProtectedHeader({ alg, typ: 'JWT' }).sign(key(password))}`
const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
/** Signed by hand: also with keys and headers that jose would not use. */
const forged = (header: unknown, claims: unknown, password: string) => {
  const body = `${part(header)}.${part(claims)}`
  return `Bearer ${body}.${createHmac('sha256', password).update(body).digest('base64url')}`
}
const nowS = () => Math.floor(systemClock.now() / 1000)

async function accepts(authorization: string, user: string): Promise<void> {
  assert.deepEqual(await auth.authenticate(authorization), { ok: true, user }, authorization)
}

async function refuses(
  authorization: string | undefined,
  message: string,
  challenges: string[],
): Promise<void> {
  const result = await auth.authenticate(authorization)
  assert.ok(!result.ok, `${authorization} was let in`)
  assert.equal(result.message, `unauthorized: ${message}`)
  assert.deepEqual(result.challenges, challenges)
}

test('who has user and password is let in', async () => {
  await accepts(basic('user:pass'), 'user')
  await accepts(basic('other:word').replace('Basic', 'bAsIc'), 'other')
  // The first colon ends the name.
  await accepts(basic('ü:pä:ss'), 'ü')
  await accepts(basic('__proto__:proto-pass'), '__proto__')
})

test('a wrong login is denied, in whatever way it is wrong', async () => {
  const logins = [
    'user:nope', 'nobody:pass', 'user:word', 'user:', ':pass', ':', 'empty:', ':nameless', 'user:pass\0', 'user\0:pass', '\0', 'user:pass:',
    'USER:pass', ' user:pass', 'user :pass', 'constructor:x', 'toString:', `user:${'p'.repeat(5_000)}`,
  ].filter(login => login.includes(':')) // prettier-ignore
  for (const login of logins) await refuses(basic(login), 'access denied', [BASIC])
  const latin1 = Buffer.concat([Buffer.from([0xfc]), Buffer.from(':p\u{e4}:ss', 'latin1')])
  await refuses(basic(latin1), 'access denied', [BASIC])
  await refuses(basic(Buffer.from([0xff, 0xfe, 0x3a, 0x80])), 'access denied', [BASIC])
})

test('what is neither a Basic nor a Bearer login is none', async () => {
  const headers = [
    undefined, '', 'Basic', 'Basic ', 'Bearer', 'Digest username="user"', 'user:pass', `Token ${'x'.repeat(100)}`,
    basic('userpass'), basic(''), basic('\0'), 'Basic !!!!', 'Basic dXNlcjpwYXNz=', 'Basic dXNlcjpwYXN', `Basic  ${basic('user:pass').slice(6)}`,
    // Go takes the standard alphabet, padded.
    `Basic ${Buffer.from('ü:x?>~').toString('base64url')}`,
  ] // prettier-ignore
  for (const header of headers) await refuses(header, 'no auth provided', [BEARER, BASIC])
})

test('a token signed with the password of its issuer is let in', async () => {
  for (const alg of ['HS256', 'HS384', 'HS512'])
    await accepts(await jwt({ iss: 'user' }, 'pass', alg), 'user')
  await accepts((await jwt({ iss: 'other' }, 'word')).replace('Bearer', 'bearer'), 'other')
  const times = { exp: nowS() + 60, nbf: nowS() - 60, iat: nowS() - 60 }
  await accepts(await jwt({ iss: 'user', aud: 'x', sub: 'y', ...times }), 'user')
  await accepts(await jwt({ iss: '__proto__' }, 'proto-pass'), '__proto__')
})

test('any other token is refused', async () => {
  const good = await jwt({ iss: 'user' })
  const { privateKey: rsa, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const { privateKey: ec } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString()
  const signed = async (alg: string, with_: typeof rsa, header = {}) =>
    `Bearer ${await new SignJWT({ iss: 'user' }).setProtectedHeader({ alg, ...header }).sign(with_)}`
  const cases: Record<string, string> = {
    'alg none': `Bearer ${new UnsecuredJWT({ iss: 'user' }).encode()}`,
    'alg none, signed': forged({ alg: 'none' }, { iss: 'user' }, 'pass'),
    'alg NONE': forged({ alg: 'NONE' }, { iss: 'user' }, 'pass'),
    'no alg': forged({}, { iss: 'user' }, 'pass'),
    'alg that is no text': forged({ alg: ['HS256'] }, { iss: 'user' }, 'pass'),
    'alg in lower case': forged({ alg: 'hs256' }, { iss: 'user' }, 'pass'),
    RS256: await signed('RS256', rsa),
    ES256: await signed('ES256', ec),
    'RS256 with its own key in the header': await signed('RS256', rsa, {
      jwk: publicKey.export({ format: 'jwk' }),
    }),
    'HS256 with a public key for a secret': forged({ alg: 'HS256' }, { iss: 'user' }, pem),
    "another user's key": await jwt({ iss: 'user' }, 'word'),
    'the empty key of a user without password': forged({ alg: 'HS256' }, { iss: 'empty' }, ''),
    'an empty key': forged({ alg: 'HS256' }, { iss: 'user' }, ''),
    'the user without name': await jwt({ iss: '' }, 'nameless'),
    'an unknown issuer': await jwt({ iss: 'nobody' }),
    'an inherited issuer': forged({ alg: 'HS256' }, { iss: 'constructor' }, ''),
    'no issuer': await jwt({}),
    'no issuer, with the key of the user without name': await jwt({}, 'nameless'),
    'an issuer that is no text': forged({ alg: 'HS256' }, { iss: ['user'] }, 'pass'),
    expired: await jwt({ iss: 'user', exp: nowS() - 1 }),
    'not valid yet': await jwt({ iss: 'user', nbf: nowS() + 60 }),
    'issued in the future': await jwt({ iss: 'user', iat: nowS() + 60 }),
    'times that are no numbers': forged({ alg: 'HS256' }, { iss: 'user', exp: 'soon' }, 'pass'),
    'iat that is no number': forged({ alg: 'HS256' }, { iss: 'user', iat: {} }, 'pass'),
    'a critical extension': forged({ alg: 'HS256', crit: ['x'], x: 1 }, { iss: 'user' }, 'pass'),
    'claims that are a list': forged({ alg: 'HS256' }, [], 'pass'),
    'claims that are null': forged({ alg: 'HS256' }, null, 'pass'),
    huge: await jwt({ iss: 'user', x: 'x'.repeat(1_000_000) }, 'nope'),
    deep: `Bearer ${part({ alg: 'HS256' })}.${Buffer.from('['.repeat(500_000)).toString('base64url')}.AAAA`,
    'not a token': 'Bearer abc',
    empty: 'Bearer ',
    dots: 'Bearer ..',
    'two parts': good.split('.').slice(0, 2).join('.'),
    'four parts': `${good}.x`,
    'five parts': `${good}.x.y`,
    'without signature': good.replace(/[^.]*$/, ''),
    'cut signature': good.slice(0, -4),
    padded: `${good}=`,
    'standard alphabet': `${good.slice(0, -1)}+`,
    'malformed base64': good.replace('.', '%.'),
    'a blank in front': good.replace(' ', '  '),
    'a blank behind': `${good} `,
    'a blank inside': good.replace('.', ' .'),
    'NUL inside': good.replace('.', '\0.'),
    'a header that is no JSON': `Bearer ${Buffer.from('{alg').toString('base64url')}.e30.AAAA`,
    'a changed payload': [good.split('.')[0], part({ iss: 'other' }), good.split('.')[2]].join('.'),
  }
  for (const [name, token] of Object.entries(cases)) {
    const result = await auth.authenticate(token)
    assert.ok(!result.ok, name)
    assert.equal(result.message, 'unauthorized: invalid token', name)
    assert.deepEqual(result.challenges, [`${BEARER}, error="invalid_token"`])
  }
})

test('a token is the same each time, without an end, and lets its user in', async () => {
  const token = await auth.token('user')
  assert.equal(token, await auth.token('user'))
  const [header, claims] = token.split('.').map(each => Buffer.from(each, 'base64url').toString())
  assert.deepEqual([header, claims], ['{"alg":"HS256","typ":"JWT"}', '{"iss":"user"}'])
  // As the Go peer signs it.
  assert.equal(`Bearer ${token}`, forged({ alg: 'HS256', typ: 'JWT' }, { iss: 'user' }, 'pass'))
  await accepts(`Bearer ${token}`, 'user')
  for (const nobody of ['nobody', 'empty', '', 'constructor'])
    await assert.rejects(auth.token(nobody), RangeError)
})

test('accounts that cannot be used are named in the log, without their passwords', () => {
  const lines: string[] = []
  const logger: Logger = {
    ...silentLogger,
    warn: (...line: unknown[]) => void lines.push(JSON.stringify(line)),
  }
  createAuthenticator({ clock: systemClock, logger }, CREDENTIALS)
  assert.equal(lines.length, 1)
  assert.match(lines[0] ?? '', /"users":\["empty",""\]/)
  assert.doesNotMatch(lines[0] ?? '', /nameless|pass"/)
})

test('when all accounts are unusable, nobody is let in', async () => {
  const closed = createAuthenticator({ clock: systemClock, logger: silentLogger }, { a: '' })
  for (const header of [undefined, basic('a:'), forged({ alg: 'HS256' }, { iss: 'a' }, '')]) {
    assert.equal((await closed.authenticate(header)).ok, false)
  }
})
