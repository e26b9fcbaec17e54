/** TLS of a listener (Go: `newTLSConfig` of `api/common`; reference api.md 1.1). */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { createSecureContext, type TlsOptions } from 'node:tls'
import { errorMessage } from '@ipfs-cluster/base'

/** PEM texts: the certificate followed by those of its issuers, and its private key. */
export interface TlsIdentity {
  readonly cert: string
  readonly key: string
}

/** TLS 1.3; for TLS 1.2 those that also certificates with elliptic curves can use, and Go's four for RSA. */
const CIPHERS = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_GCM_SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES256-SHA',
  'AES256-GCM-SHA384',
  'AES256-SHA',
].join(':')

export function tlsOptions({ cert, key }: TlsIdentity): TlsOptions {
  return {
    cert,
    key,
    minVersion: 'TLSv1.2',
    ciphers: CIPHERS,
    honorCipherOrder: true,
    ALPNProtocols: ['http/1.1'],
  }
}

/**
 * What keeps the two from being used together, without anything of the key: which of them it is, and why. `undefined` when they fit.
 */
export function tlsProblem(
  identity: TlsIdentity,
): { readonly of: 'cert' | 'key'; readonly why: string } | undefined {
  let certificate: X509Certificate
  try {
    if (!isPem(identity.cert, 'CERTIFICATE')) return { of: 'cert', why: 'holds no certificate in PEM' }
    certificate = new X509Certificate(identity.cert)
  } catch (error) {
    return { of: 'cert', why: `holds no certificate that can be read: ${errorMessage(error)}` }
  }
  try {
    if (!isPem(identity.key, '[A-Z ]*PRIVATE KEY')) return { of: 'key', why: 'holds no private key in PEM' }
    if (!certificate.checkPrivateKey(createPrivateKey(identity.key))) {
      return { of: 'key', why: 'is not the key of the certificate' }
    }
  } catch (error) {
    return { of: 'key', why: `holds no private key that can be read: ${errorMessage(error)}` }
  }
  try {
    createSecureContext(tlsOptions(identity))
    return undefined
  } catch (error) {
    return { of: 'cert', why: `cannot be used: ${errorMessage(error)}` }
  }
}

function isPem(text: string, label: string): boolean {
  return new RegExp(`-----BEGIN ${label}-----`).test(text)
}
