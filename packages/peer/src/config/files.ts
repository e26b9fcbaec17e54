/** Finding, fetching and writing `service.json`. */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { anySignal, errorCode, errorMessage, type AbortOptions, type Clock } from '@ipfs-cluster/base'
import { ConfigError } from './errors.ts'
import type { Environment } from './section.ts'
import {
  formatServiceConfig,
  parseServiceConfig,
  validateServiceConfig,
  withEnvironment,
  type ServiceConfig,
} from './service-config.ts'

const SERVICE_FILE = 'service.json'
const SOURCE_DEADLINE_MS = 30_000
const SOURCE_BYTES_MAX = 4 * 1024 * 1024

export interface LoadOptions extends AbortOptions {
  readonly env: Environment
  readonly hostname: string
  readonly clock: Clock
}

export function servicePath(folder: string): string {
  return join(folder, SERVICE_FILE)
}

/**
 * The configuration in `folder`, from its source if it names one, overlaid with the environment and validated.
 *
 * @throws ConfigError
 */
export async function loadServiceConfig(folder: string, options: LoadOptions): Promise<ServiceConfig> {
  const local = parseServiceConfig(await readServiceFile(folder), options.hostname)
  const config = local.source === '' ? local : await fetchConfig(local.source, options)
  const complete = withEnvironment(config, options.env)
  validateServiceConfig(complete)
  return complete
}

/** Writes `service.json` (0600) as a whole or not at all; creates the folder (0700). */
export async function saveServiceConfig(folder: string, config: ServiceConfig): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const path = servicePath(folder)
  await writeFile(`${path}.tmp`, formatServiceConfig(config), { mode: 0o600, flush: true })
  await rename(`${path}.tmp`, path)
}

async function readServiceFile(folder: string): Promise<string> {
  const path = servicePath(folder)
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    if (errorCode(cause) === 'ENOENT') {
      throw new ConfigError(
        `there is no configuration at ${path}; create one with "ipfs-cluster-service init"`,
        { code: 'CONFIG_MISSING', path },
        { cause },
      )
    }
    throw new ConfigError(
      `cannot read ${path}: ${errorMessage(cause)}`,
      { code: 'CONFIG_UNREADABLE', path },
      { cause },
    )
  }
}

async function fetchConfig(url: string, { signal, clock, hostname }: LoadOptions): Promise<ServiceConfig> {
  const fail = (text: string, cause?: unknown) =>
    new ConfigError(text, { code: 'CONFIG_SOURCE', url }, { cause })
  const deadline = anySignal(signal, clock.timeout(SOURCE_DEADLINE_MS)) ?? null
  let status: number
  let body: string
  try {
    const response = await fetch(url, { signal: deadline })
    status = response.status
    body = await readBounded(response, url)
  } catch (cause) {
    if (cause instanceof ConfigError) throw cause
    const reason = errorMessage(cause instanceof Error ? (cause.cause ?? cause) : cause)
    throw fail(`could not fetch configuration from source: ${url}: ${reason}`, cause)
  }
  if (status >= 300) throw fail(`unsuccessful request (${status}): ${body}`)
  const config = parseServiceConfig(body, hostname)
  if (config.source !== '') throw fail('a sourced configuration cannot point to another source')
  return config
}

/** @throws ConfigError when there is more than a configuration can be. */
async function readBounded(response: Response, url: string): Promise<string> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of response.body ?? []) {
    length += chunk.length
    if (length > SOURCE_BYTES_MAX) {
      throw new ConfigError(`the configuration at ${url} is larger than ${SOURCE_BYTES_MAX} bytes`, {
        code: 'CONFIG_SOURCE',
        url,
      })
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
