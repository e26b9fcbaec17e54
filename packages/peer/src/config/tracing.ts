/** Where traces go (Go: `observations/config.go`; decision 0013). */
import { parseMultiaddr } from '@ipfs-cluster/api'
import { multiaddr } from '@multiformats/multiaddr'
import type { TracingConfig } from '../tracing/index.ts'
import { invalid } from './errors.ts'
import type { Environment } from './section.ts'

export interface TracingSection {
  readonly jaeger_agent_endpoint: string
  readonly otlp_endpoint: string
  readonly sampling_prob: number
  readonly service_name: string
}

const TRACES_PATH = '/v1/traces'
/** Of OTLP over HTTP, for every collector. */
const OTLP_PORT = 4318

interface Endpoint {
  readonly url: URL
  readonly note?: string
}

/**
 * By `otlp_endpoint`, else by the variables of OpenTelemetry, else the host of the Jaeger agent: Jaeger takes OTLP since 1.35, and has no
 * agent any more since version 2.
 *
 * @throws ConfigError `CONFIG_INVALID` naming the key or the variable.
 */
export function tracingConfig(section: TracingSection, peername: string, env: Environment): TracingConfig {
  // As in Go, only of those who trace; which takes more than 1 for always, too.
  const { sampling_prob } = section
  if (sampling_prob < 0)
    throw invalid('tracing.sampling_prob', `must not be negative (found ${sampling_prob})`)
  const { url, note } = endpointOf(section, env)
  const headers = { ...loginOf(url), ...headersOf(env) }
  url.username = ''
  url.password = ''
  return {
    tracesUrl: url.href,
    headers,
    samplingProbability: Math.min(1, sampling_prob),
    serviceName: `${section.service_name}-${peername}`,
    ...(note === undefined ? {} : { note }),
  }
}

/** What is wrong with an `otlp_endpoint`. */
export function otlpProblem(text: string): string | undefined {
  return text === '' || httpUrl(text) !== undefined
    ? undefined
    : 'must be the URL of a collector, such as http://127.0.0.1:4318'
}

function endpointOf({ otlp_endpoint, jaeger_agent_endpoint }: TracingSection, env: Environment): Endpoint {
  if (otlp_endpoint !== '') return { url: withPath(urlOf('tracing.otlp_endpoint', otlp_endpoint)) }
  const whole = env['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'] ?? ''
  if (whole !== '') return { url: urlOf('OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', whole) }
  const base = env['OTEL_EXPORTER_OTLP_ENDPOINT'] ?? ''
  if (base !== '') return { url: withPath(urlOf('OTEL_EXPORTER_OTLP_ENDPOINT', base)) }
  const host = hostOf(jaeger_agent_endpoint)
  if (host === undefined) {
    throw invalid(
      'tracing.otlp_endpoint',
      'must be the URL of a collector, such as http://127.0.0.1:4318: tracing is enabled, and jaeger_agent_endpoint names no host',
    )
  }
  const url = new URL(`http://${host}:${OTLP_PORT}${TRACES_PATH}`)
  const note =
    `Spans go by OTLP over HTTP to the host of tracing.jaeger_agent_endpoint (${jaeger_agent_endpoint}), port ${OTLP_PORT}, ` +
    'as Jaeger has no agent any more; set tracing.otlp_endpoint to send them elsewhere'
  return { url, note }
}

function httpUrl(text: string): URL | undefined {
  const url = URL.parse(text)
  return url !== null && /^https?:$/.test(url.protocol) ? url : undefined
}

/** The text stays out of the error: it may hold a password. */
function urlOf(key: string, text: string): URL {
  const url = httpUrl(text)
  if (url === undefined) throw invalid(key, 'must be the URL of a collector, such as http://127.0.0.1:4318')
  return url
}

/** A collector's address, or that of its traces: both are seen in the wild. */
function withPath(url: URL): URL {
  const path = url.pathname.replace(/\/+$/, '')
  if (!path.endsWith(TRACES_PATH)) url.pathname = `${path}${TRACES_PATH}`
  return url
}

/** An agent "on all addresses" is one on this machine. */
function hostOf(address: string): string | undefined {
  if (address === '' || address.startsWith('/unix/')) return undefined
  const parts = multiaddr(parseMultiaddr(address)).getComponents()
  const part = parts.find(({ name }) => /^(?:ip4|ip6|dns|dns4|dns6)$/.test(name))
  if (part?.value === undefined) return undefined
  if (part.name === 'ip4') return part.value === '0.0.0.0' ? '127.0.0.1' : part.value
  if (part.name === 'ip6') return part.value === '::' ? '[::1]' : `[${part.value}]`
  return part.value
}

function loginOf({ username, password }: URL): Record<string, string> {
  if (username === '' && password === '') return {}
  const login = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
  return { Authorization: `Basic ${Buffer.from(login).toString('base64')}` }
}

/** `name=value,name=value`, percent-encoded (OpenTelemetry "Specifying headers via environment variables"). */
function headersOf(env: Environment): Record<string, string> {
  const key = ['OTEL_EXPORTER_OTLP_TRACES_HEADERS', 'OTEL_EXPORTER_OTLP_HEADERS'].find(
    each => (env[each] ?? '') !== '',
  )
  if (key === undefined) return {}
  const pairs = (env[key] ?? '').split(',').filter(pair => pair.trim() !== '')
  return Object.fromEntries(pairs.map(pair => headerOf(key, pair)))
}

function headerOf(key: string, pair: string): readonly [name: string, value: string] {
  const bad = () =>
    invalid(key, 'must be headers such as name=value,name2=value2, with values percent-encoded')
  const at = pair.indexOf('=')
  const name = pair.slice(0, Math.max(0, at)).trim()
  if (!/^[!#$%&'*+.^_`|~\w-]+$/.test(name)) throw bad()
  try {
    const value = decodeURIComponent(pair.slice(at + 1).trim())
    if (!/[^\t\x20-\x7e]/.test(value)) return [name, value]
  } catch {
    // Neither it nor the reason is shown: it may be a token.
  }
  throw bad()
}
