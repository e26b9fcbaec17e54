/** A peer with credentials: who gets in, and what the others are told. */
import { createHmac } from 'node:crypto'
import { ask, cidOf, pipeline, type DifferCase } from './differ-case.ts'

export const credentials = { user: 'pass', nopass: '', 'co:lon': 'x' }

const basic = (text: string) => `Authorization: Basic ${Buffer.from(text).toString('base64')}`
const bearer = (token: string) => `Authorization: Bearer ${token}`
const base64url = (text: string) => Buffer.from(text).toString('base64url')

function jwt(claims: object, key: string, alg = 'HS256'): string {
  const text = `${base64url(JSON.stringify({ alg, typ: 'JWT' }))}.${base64url(JSON.stringify(claims))}`
  const hash = alg === 'HS512' ? 'sha512' : 'sha256'
  return `${text}.${createHmac(hash, key).update(text).digest('base64url')}`
}

const now = Math.floor(Date.now() / 1000)
const logins: readonly (readonly [string, string])[] = [
  ['right', basic('user:pass')],
  ['wrong password', basic('user:wrong')],
  ['unknown user', basic('nobody:pass')],
  ['no password', basic('user:')],
  ['a user without password', basic('nopass:')],
  ['no colon', basic('user')],
  ['a colon in the name', basic('co:lon:x')],
  ['not base64', 'Authorization: Basic !!!'],
  ['basic in small letters', basic('user:pass').replace('Basic', 'basic')],
  ['another scheme', 'Authorization: Digest x'],
  ['empty', 'Authorization: '],
  ['two headers', `${basic('user:pass')}\r\n${basic('user:wrong')}`],
  ['a token', bearer(jwt({ iss: 'user' }, 'pass'))],
  ['bearer in small letters', bearer(jwt({ iss: 'user' }, 'pass')).replace('Bearer', 'bearer')],
  ['a token HS512', bearer(jwt({ iss: 'user' }, 'pass', 'HS512'))],
  ['a token of another key', bearer(jwt({ iss: 'user' }, 'wrong'))],
  ['a token of nobody', bearer(jwt({ iss: 'nobody' }, 'pass'))],
  ['a token without issuer', bearer(jwt({}, 'pass'))],
  ['a token, none', bearer(`${base64url('{"alg":"none","typ":"JWT"}')}.${base64url('{"iss":"user"}')}.`)],
  ['an expired token', bearer(jwt({ iss: 'user', exp: now - 1000 }, 'pass'))],
  ['a token for later', bearer(jwt({ iss: 'user', nbf: now + 1000 }, 'pass'))],
  ['a token from the future', bearer(jwt({ iss: 'user', iat: now + 1000 }, 'pass'))],
  ['a token until later', bearer(jwt({ iss: 'user', exp: now + 1000 }, 'pass'))],
  ['a token that is none', bearer('x.y.z')],
  ['an empty token', bearer('')],
]

export const authCases: readonly DifferCase[] = [
  ...logins.map(([note, header]) => ask('GET', '/version', { note, headers: [header] })),
  ask('GET', '/version', { note: 'no credentials' }),
  ask('GET', '/health'),
  ask('GET', '/health/'),
  ask('POST', '/health'),
  ask('HEAD', '/health'),
  ask('GET', '/health/alerts'),
  ask('OPTIONS', '/version'),
  ask('OPTIONS', '/version', {
    note: 'preflight',
    headers: ['Origin: x', 'Access-Control-Request-Method: GET'],
  }),
  ask('GET', '/version', { note: 'Origin, no credentials', headers: ['Origin: x'] }),
  ask('GET', '/nothing'),
  ask('GET', '/version/'),
  ask('PUT', '/version'),
  ask('POST', `/pins/${cidOf(1)}`),
  ask('POST', '/add', { body: 'x' }),
  ask('POST', '/token'),
  ask('POST', '/token', { note: 'basic', headers: [basic('user:pass')] }),
  ask('POST', '/token', { note: 'a token', headers: [bearer(jwt({ iss: 'user' }, 'pass'))] }),
  ask('POST', '/token', { note: 'wrong', headers: [basic('user:wrong')] }),
  ask('GET', '/token', { note: 'basic', headers: [basic('user:pass')] }),
  ask('GET', '/version/', { note: 'basic', headers: [basic('user:pass')] }),
  ask('GET', '/nothing', { note: 'basic', headers: [basic('user:pass')] }),
  pipeline('with and without', [
    ask('GET', '/version', { headers: [basic('user:pass')] }),
    ask('GET', '/version'),
    ask('GET', '/health'),
  ]),
]
