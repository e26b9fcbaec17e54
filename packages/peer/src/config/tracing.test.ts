import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigError } from './errors.ts'
import { tracingSection } from './sections.ts'
import { tracingConfig } from './tracing.ts'

const JAEGER = tracingSection.initial.jaeger_agent_endpoint
const section = (values: Partial<typeof tracingSection.initial> = {}) => ({
  ...tracingSection.initial,
  ...values,
})
const urlOf = (values: Parameters<typeof section>[0], env: Readonly<Record<string, string>> = {}) =>
  tracingConfig(section(values), 'p', env).tracesUrl
const refused = (work: () => unknown, key: string) =>
  assert.throws(work, error => {
    assert.ok(error instanceof ConfigError)
    assert.deepEqual(error.data, { code: 'CONFIG_INVALID', key })
    assert.ok(!error.message.includes('s3cret'), error.message)
    return true
  })

test('the host of the Jaeger agent gets the spans where nothing else is said, and that is told', () => {
  assert.equal(JAEGER, '/ip4/0.0.0.0/udp/6831')
  const { note, ...config } = tracingConfig(section(), 'peer1', {})
  assert.deepEqual(config, {
    tracesUrl: 'http://127.0.0.1:4318/v1/traces',
    headers: {},
    samplingProbability: 0.3,
    serviceName: 'cluster-daemon-peer1',
  })
  assert.match(note ?? '', /otlp_endpoint/)
  const ofAgent = (jaeger_agent_endpoint: string) => urlOf({ jaeger_agent_endpoint })
  assert.equal(ofAgent('/ip4/10.0.0.7/udp/6831'), 'http://10.0.0.7:4318/v1/traces')
  assert.equal(ofAgent('/dns4/jaeger/udp/6831'), 'http://jaeger:4318/v1/traces')
  assert.equal(ofAgent('/ip6/::/udp/6831'), 'http://[::1]:4318/v1/traces')
  assert.equal(ofAgent('/ip6/fd00::1/udp/6831'), 'http://[fd00::1]:4318/v1/traces')
  refused(() => ofAgent(''), 'tracing.otlp_endpoint')
  refused(() => ofAgent('/unix/tmp/x'), 'tracing.otlp_endpoint')
})

test('otlp_endpoint is before the variables of OpenTelemetry, and these before Jaeger', () => {
  const env = {
    OTEL_EXPORTER_OTLP_ENDPOINT: 'https://base:4318/otlp/',
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://traces/as-it-stands',
  }
  const { OTEL_EXPORTER_OTLP_ENDPOINT } = env
  assert.equal(urlOf({ otlp_endpoint: 'http://c:4318' }, env), 'http://c:4318/v1/traces')
  assert.equal(urlOf({ otlp_endpoint: 'http://c:4318/v1/traces/' }), 'http://c:4318/v1/traces/')
  assert.equal(urlOf({}, env), 'http://traces/as-it-stands')
  assert.equal(urlOf({}, { OTEL_EXPORTER_OTLP_ENDPOINT }), 'https://base:4318/otlp/v1/traces')
  assert.equal(tracingConfig(section(), 'p', env).note, undefined)
  assert.equal(urlOf({}, { OTEL_EXPORTER_OTLP_ENDPOINT: '' }), 'http://127.0.0.1:4318/v1/traces')
  const withEnv = tracingSection.withEnv(section(), { CLUSTER_TRACING_OTLPENDPOINT: 'http://env:1' })
  assert.equal(withEnv.otlp_endpoint, 'http://env:1')
})

test('logins and headers travel, and are shown to nobody', () => {
  const env = { OTEL_EXPORTER_OTLP_HEADERS: 'x-token=s3cret%3D, Other = a b ,' }
  const config = tracingConfig(section({ otlp_endpoint: 'http://me:s3%63ret@c' }), 'p', env)
  assert.equal(config.tracesUrl, 'http://c/v1/traces')
  const login = `Basic ${Buffer.from('me:s3cret').toString('base64')}`
  assert.deepEqual(config.headers, { Authorization: login, 'x-token': 's3cret=', Other: 'a b' })
  const more = { ...env, OTEL_EXPORTER_OTLP_TRACES_HEADERS: 'only=this' }
  assert.deepEqual(tracingConfig(section(), 'p', more).headers, { only: 'this' })
})

test('what is wrong is named, and not shown', () => {
  for (const url of ['s3cret', 'ftp://s3cret', 'unix:///s3cret', '127.0.0.1:4318']) {
    assert.throws(
      () => tracingSection.validate(section({ otlp_endpoint: url })),
      /^ConfigError: tracing\.otlp_endpoint: must be the URL of a collector, such as http:\/\/127\.0\.0\.1:4318$/,
    )
    refused(() => urlOf({}, { OTEL_EXPORTER_OTLP_ENDPOINT: url }), 'OTEL_EXPORTER_OTLP_ENDPOINT')
    refused(
      () => urlOf({}, { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: url }),
      'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT',
    )
  }
  for (const headers of ['s3cret', '=s3cret', 'a b=s3cret', 'a=s3cret%', 'a=s3cret%0a', 'a=s3cret\u20ac']) {
    refused(() => urlOf({}, { OTEL_EXPORTER_OTLP_HEADERS: headers }), 'OTEL_EXPORTER_OTLP_HEADERS')
  }
  refused(() => urlOf({ sampling_prob: -0.1 }), 'tracing.sampling_prob')
  assert.equal(tracingConfig(section({ sampling_prob: 7 }), 'p', {}).samplingProbability, 1, 'as in Go')
})

test('one of the two endpoints is there, as in Go', () => {
  const bad = /tracing: jaeger_agent_endpoint or otlp_endpoint must be set$/
  assert.throws(() => tracingSection.validate(tracingSection.parse({ enable_tracing: false })), bad)
  tracingSection.validate(tracingSection.parse({ otlp_endpoint: 'http://c' }))
})

test('the file of a Go peer stays as it is', () => {
  const json = {
    enable_tracing: false,
    jaeger_agent_endpoint: '/ip4/0.0.0.0/udp/6831',
    sampling_prob: 0.3,
    service_name: 'cluster-daemon',
  }
  assert.deepEqual(tracingSection.format(tracingSection.initial), json)
  const ours = { ...json, otlp_endpoint: 'http://c' }
  assert.deepEqual(tracingSection.format(tracingSection.parse(ours)), ours)
})
