/** From a section such as `restapi` to what an API is made of, with the files that it names. */
import { readFileSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'
import { errorMessage } from '@ipfs-cluster/base'
import { tlsProblem, type TlsIdentity } from '../http/common/index.ts'
import type { HttpApiConfig } from '../http/rest/index.ts'
import { invalid } from './errors.ts'
import type { ServiceConfig } from './service-config.ts'

type HttpApiSection = NonNullable<ServiceConfig['api']['restapi']>

/**
 * @param name of the section, for errors.
 * @param folder relative paths start there.
 * @throws ConfigError when the certificate or its key cannot be used.
 */
export function httpApiConfig(name: string, api: HttpApiSection, folder: string): HttpApiConfig {
  const inFolder = (path: string) => (isAbsolute(path) ? path : join(folder, path))
  const tls = readTls(name, api, inFolder)
  return {
    listen: api.http_listen_multiaddress,
    readTimeoutMs: api.read_timeout,
    readHeaderTimeoutMs: api.read_header_timeout,
    writeTimeoutMs: api.write_timeout,
    idleTimeoutMs: api.idle_timeout,
    maxHeaderBytes: api.max_header_bytes,
    headers: api.headers,
    credentials: api.basic_auth_credentials,
    ...(tls !== undefined && { tls }),
    ...(api.http_log_file !== '' && { logFile: inFolder(api.http_log_file) }),
    cors: {
      allowedOrigins: api.cors_allowed_origins,
      allowedMethods: api.cors_allowed_methods,
      allowedHeaders: api.cors_allowed_headers,
      exposedHeaders: api.cors_exposed_headers,
      allowCredentials: api.cors_allow_credentials,
      maxAgeMs: api.cors_max_age,
    },
  }
}

function readTls(
  name: string,
  { ssl_cert_file: certFile, ssl_key_file: keyFile }: HttpApiSection,
  inFolder: (path: string) => string,
): TlsIdentity | undefined {
  if (certFile === '' && keyFile === '') return undefined
  const read = (key: string, file: string) => {
    try {
      return readFileSync(inFolder(file), 'utf8')
    } catch (error) {
      throw invalid(`${name}.${key}`, `error loading TLS certificate/key: ${errorMessage(error)}`)
    }
  }
  const identity = { cert: read('ssl_cert_file', certFile), key: read('ssl_key_file', keyFile) }
  const problem = tlsProblem(identity)
  if (problem !== undefined) {
    const [key, file] = problem.of === 'cert' ? ['ssl_cert_file', certFile] : ['ssl_key_file', keyFile]
    throw invalid(`${name}.${key}`, `error loading TLS certificate/key: ${inFolder(file)} ${problem.why}`)
  }
  return identity
}
