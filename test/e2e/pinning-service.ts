/** Peers with a Pinning Service API, and clients of it, for tests. */
import type { ServiceConfig } from '@ipfs-cluster/peer'
import { initialConfig } from '@ipfs-cluster/peer'

export interface Login {
  readonly user: string
  readonly password: string
}

export interface PinningServiceOptions {
  readonly port: number
  /** @default none is needed */
  readonly login?: Login
}

export function withPinningService(
  config: ServiceConfig,
  { port, login }: PinningServiceOptions,
): ServiceConfig {
  const { pinsvcapi, ...initial } = {
    ...initialConfig({
      consensus: 'crdt',
      datastore: 'pebble',
      ipfs: 'ipfshttp',
      peername: '',
      secret: new Uint8Array(32),
    }).api,
  }
  if (pinsvcapi === undefined) throw new Error(`no pinsvcapi beside ${Object.keys(initial).join(', ')}`)
  return {
    ...config,
    api: {
      ...config.api,
      pinsvcapi: {
        ...pinsvcapi,
        http_listen_multiaddress: [`/ip4/127.0.0.1/tcp/${port}`],
        basic_auth_credentials: login === undefined ? null : { [login.user]: login.password },
      },
    },
  }
}

/** A token from `POST /token`. */
export async function tokenOf(url: string, { user, password }: Login): Promise<string> {
  const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
  const response = await fetch(`${url}/token`, { method: 'POST', headers: { authorization } })
  if (!response.ok) throw new Error(`no token: ${response.status} ${await response.text()}`)
  return ((await response.json()) as { token: string }).token
}

export interface PinningAnswer {
  readonly status: number
  /** Of the body; `undefined` without one. */
  // oxlint-disable-next-line typescript/no-explicit-any -- tests look at what is there
  readonly json: any
}

export type PinningClient = (method: string, path: string, body?: unknown) => Promise<PinningAnswer>

/** @param token of `POST /token`; `undefined`: none is sent. */
export function pinningClient(url: string, token: string | undefined): PinningClient {
  return async (method, path, body) => {
    const response = await fetch(url + path, {
      method,
      ...(token !== undefined && { headers: { authorization: `Bearer ${token}` } }),
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    return { status: response.status, json: text === '' ? undefined : JSON.parse(text) }
  }
}
