/**
 * Who asks: HTTP Basic, or a JWT signed with the asker's password (Go: `authHandler` of `api/common`; reference api.md 1.1). Each API has
 * credentials of its own.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { Clock, Logger } from '@ipfs-cluster/base'
import type { JWTPayload, JWTVerifyGetKey } from 'jose'

/** User names to passwords. */
export type Credentials = Readonly<Record<string, string>>

export type AuthResult =
  | { readonly ok: true; readonly user: string }
  | {
      readonly ok: false
      /** For the client. */
      readonly message: string
      /** Lines of `WWW-Authenticate`. */
      readonly challenges: readonly string[]
      /** For the debug log: why, without anything of what was sent. */
      readonly why: string
    }

export interface Authenticator {
  /** @param authorization the header; the first, when there are several. */
  authenticate(authorization: string | undefined): Promise<AuthResult>
  /**
   * A token by which `user` is known from now on: it does not expire, and is the same each time.
   *
   * @throws RangeError when there is no such user.
   */
  token(user: string): Promise<string>
}

const REALM = 'realm="Restricted IPFS Cluster API"'
const HMAC_ALGORITHMS = ['HS256', 'HS384', 'HS512']

interface Account {
  readonly user: string
  readonly userDigest: Uint8Array
  readonly passwordDigest: Uint8Array
  /** What tokens of this user are signed with. */
  readonly key: Uint8Array
}

/**
 * Accounts with an empty name or password cannot be used in any way, and are named in the log. (In Go, a token signed with an empty key is
 * accepted for them.)
 */
export function createAuthenticator(
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
  credentials: Credentials,
): Authenticator {
  const unusable = Object.keys(credentials).filter(user => user === '' || credentials[user] === '')
  if (unusable.length > 0) {
    logger.warn({ users: unusable }, 'users with an empty name or password cannot log in; give them one')
  }
  const accounts = Object.entries(credentials)
    .filter(([user, password]) => user !== '' && password !== '')
    .map(([user, password]) => toAccount(user, password))
  const byName = new Map(accounts.map(account => [account.user, account]))
  // Nobody's key: a token of an unknown user is checked as any other, so that the time says nothing about names.
  const nobody = digest(digest(JSON.stringify(credentials)))
  return {
    async authenticate(authorization = '') {
      const basic = parseBasic(authorization)
      if (basic !== undefined) {
        const user = findAccount(accounts, basic)
        return user === undefined
          ? denied('access denied', [`Basic ${REALM}`], 'wrong user or password')
          : { ok: true, user }
      }
      const token = /^Bearer (.*)$/is.exec(authorization)?.[1]
      if (token === undefined) {
        return denied('no auth provided', [`Bearer ${REALM}`, `Basic ${REALM}`], 'neither Basic nor Bearer')
      }
      try {
        return { ok: true, user: await verifyToken(token, byName, nobody, clock) }
      } catch (error) {
        // Whatever is wrong with it, it is not a token of ours.
        const why = error instanceof Error ? error.name : 'unknown'
        return denied('invalid token', [`Bearer ${REALM}, error="invalid_token"`], why)
      }
    },
    async token(user) {
      const account = byName.get(user)
      if (account === undefined) throw new RangeError('there is no such user')
      const { SignJWT } = await loadJose()
      return await new SignJWT({ iss: user })
        .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
        .sign(account.key)
    },
  }
}

function denied(message: string, challenges: readonly string[], why: string): AuthResult {
  return { ok: false, message: `unauthorized: ${message}`, challenges, why }
}

function toAccount(user: string, password: string): Account {
  return { user, userDigest: digest(user), passwordDigest: digest(password), key: Buffer.from(password) }
}

function digest(data: string | Uint8Array): Uint8Array {
  return createHash('sha256').update(data).digest()
}

interface BasicLogin {
  readonly user: Uint8Array
  readonly password: Uint8Array
}

/** `undefined`: this is no Basic login at all. Base64 as Go's `StdEncoding` takes it: padded, standard alphabet. */
function parseBasic(authorization: string): BasicLogin | undefined {
  const encoded = /^Basic ((?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?)$/i.exec(
    authorization,
  )
  if (encoded === null) return undefined
  const decoded = Buffer.from(encoded[1] ?? '', 'base64')
  const colon = decoded.indexOf(':')
  if (colon < 0) return undefined
  return { user: decoded.subarray(0, colon), password: decoded.subarray(colon + 1) }
}

/** Compares digests with every account, whichever matches: neither name nor password shows in the time taken. */
function findAccount(accounts: readonly Account[], { user, password }: BasicLogin): string | undefined {
  const userDigest = digest(user)
  const passwordDigest = digest(password)
  let found: string | undefined
  for (const account of accounts) {
    const sameUser = timingSafeEqual(account.userDigest, userDigest)
    const samePassword = timingSafeEqual(account.passwordDigest, passwordDigest)
    found = Number(sameUser) & Number(samePassword) ? account.user : found
  }
  return found
}

/** @throws when it is not valid now; the error's name says why. */
async function verifyToken(
  token: string,
  accounts: ReadonlyMap<string, Account>,
  nobody: Uint8Array,
  clock: Clock,
): Promise<string> {
  // jose also takes padding, the standard alphabet and white space.
  if (!/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) throw new RangeError('malformed')
  let account: Account | undefined
  const keyOf: JWTVerifyGetKey = (_header, { payload }) => {
    account = accounts.get(issuerOf(payload) ?? '')
    return account?.key ?? nobody
  }
  const now = new Date(clock.now())
  const options = { algorithms: HMAC_ALGORITHMS, currentDate: now, requiredClaims: ['iss'] }
  const { jwtVerify } = await loadJose()
  const { payload } = await jwtVerify(token, keyOf, options)
  if (account === undefined) throw new RangeError('unknown issuer')
  checkIssuedAt(payload, now)
  return account.user
}

/** Of a token whose signature is still to be checked. */
function issuerOf(payload: Uint8Array | string): string | undefined {
  const bytes = typeof payload === 'string' ? Buffer.from(payload, 'base64url') : payload
  const claims: unknown = JSON.parse(Buffer.from(bytes).toString())
  if (typeof claims !== 'object' || claims === null || !('iss' in claims)) return undefined
  return typeof claims.iss === 'string' ? claims.iss : undefined
}

/** jose looks at `exp` and `nbf`; Go also refuses what was issued in the future. */
function checkIssuedAt({ iat }: JWTPayload, now: Date): void {
  if (iat !== undefined && !(typeof iat === 'number' && iat * 1000 <= now.getTime())) {
    throw new RangeError('issued in the future')
  }
}

/** Most peers never see a token. */
const loadJose = async () => await import('jose')
