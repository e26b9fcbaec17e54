import {
  CodedError,
  noopTracer,
  seededRandom,
  systemClock,
  traced,
  tracedItems,
  type Tracer,
} from '@ipfs-cluster/base'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { encodeSpans } from './otlp.ts'
import { createRecorder } from './recorder.ts'
import { isSampled } from './sampler.ts'
import { tracedConnector } from './traced-ipfs.ts'
import type { SpanRecord } from './types.ts'
import { withMethods } from './with-methods.ts'
import { createWrappers } from './wrappers.ts'

const REMOTE = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16) }

function record(probability = 1): { readonly tracer: Tracer; readonly spans: SpanRecord[] } {
  const spans: SpanRecord[] = []
  const components = {
    clock: systemClock,
    random: seededRandom(7),
    onEnd: (span: SpanRecord) => spans.push(span),
  }
  return { tracer: createRecorder(components, probability), spans }
}

const parents = (spans: readonly SpanRecord[]) =>
  Object.fromEntries(
    spans.map(span => [span.name, spans.find(other => other.spanId === span.parentSpanId)?.name ?? '']),
  )

test('spans nest across asynchronous calls, those at the same time too', async () => {
  const { tracer, spans } = record()
  const leaf = (name: string) => traced(tracer, name, {}, () => turn())
  await traced(tracer, 'root', { kind: 'server' }, async () => {
    await Promise.all(
      ['a', 'b'].map(name =>
        traced(tracer, name, { attributes: { name } }, async () => {
          await turn()
          await leaf(`${name}1`)
          await leaf(`${name}2`)
        }),
      ),
    )
  })
  assert.deepEqual(parents(spans), { a1: 'a', b1: 'b', a2: 'a', b2: 'b', a: 'root', b: 'root', root: '' })
  assert.equal(new Set(spans.map(({ traceId }) => traceId)).size, 1)
  assert.ok(spans.every(({ startNs, endNs }) => startNs < endNs))
  assert.equal(tracer.active(), undefined)
})

test('items come from within their span, and what the reader does meanwhile does not', async () => {
  const { tracer, spans } = record()
  await traced(tracer, 'root', {}, async () => {
    const source = async function* () {
      for (const name of ['x', 'y']) {
        await traced(tracer, name, {}, () => turn())
        yield name
      }
    }
    for await (const item of tracedItems(tracer, 'list', {}, source)) {
      await traced(tracer, `read ${item}`, {}, () => turn())
    }
  })
  assert.deepEqual(parents(spans), {
    x: 'list',
    'read x': 'root',
    y: 'list',
    'read y': 'root',
    list: 'root',
    root: '',
  })
  assert.deepEqual(spans.find(({ name }) => name === 'list')?.attributes, { items: 2 })
})

test('what goes on after a span is no part of it', async () => {
  const { tracer, spans } = record()
  const later = Promise.withResolvers<void>()
  let loop = Promise.resolve()
  await traced(tracer, 'root', {}, () =>
    traced(tracer, 'short', {}, async () => {
      loop = later.promise.then(() => traced(tracer, 'in time', {}, () => turn()))
    }).then(async () => {
      later.resolve()
      await loop
      loop = turn().then(() => traced(tracer, 'too late', {}, () => turn()))
    }),
  )
  await loop
  assert.deepEqual(parents(spans), { short: 'root', 'in time': 'root', root: '', 'too late': '' })
  assert.equal(new Set(spans.map(({ traceId }) => traceId)).size, 2)
})

test('a parent elsewhere decides whether its children are recorded', async () => {
  const none = record(0)
  const traceState = 'vendor=1'
  await traced(none.tracer, 'yes', { parent: { ...REMOTE, sampled: true, traceState } }, async () => {
    assert.equal(none.tracer.active()?.traceState, traceState)
    await traced(none.tracer, 'child', {}, () => turn())
  })
  assert.deepEqual(
    none.spans.map(({ name }) => name),
    ['child', 'yes'],
  )
  assert.equal(none.spans[1]?.parentSpanId, REMOTE.spanId)
  assert.ok(none.spans.every(span => span.traceId === REMOTE.traceId && span.traceState === traceState))
  const all = record(1)
  await traced(all.tracer, 'no', { parent: { ...REMOTE, sampled: false } }, async () => {
    assert.deepEqual(all.tracer.active(), { ...REMOTE, sampled: false }, 'passed on as it came')
    await traced(all.tracer, 'child', {}, () => turn())
    await traced(all.tracer, 'own trace', { parent: null }, () => turn())
  })
  assert.deepEqual(
    all.spans.map(({ name }) => name),
    ['own trace'],
  )
})

test('failures are noted with their code, and are no longer than bearable; who leaves has not failed', async () => {
  const { tracer, spans } = record()
  const fail = (name: string, error: unknown) =>
    assert.rejects(traced(tracer, name, {}, () => Promise.reject(error)))
  await fail('coded', new CodedError('no such pin', { code: 'PIN_NOT_FOUND' }))
  await fail('long', new TypeError('x'.repeat(5000)))
  await fail('left', new DOMException('gone', 'AbortError'))
  const [coded, long, left] = spans
  assert.deepEqual(coded?.error, { message: 'no such pin' })
  assert.deepEqual(coded?.attributes, { 'error.type': 'PIN_NOT_FOUND' })
  assert.deepEqual(
    coded?.events.map(({ name, attributes }) => ({ name, attributes })),
    [
      {
        name: 'exception',
        attributes: { 'exception.type': 'PIN_NOT_FOUND', 'exception.message': 'no such pin' },
      },
    ],
  )
  assert.deepEqual(long?.attributes, { 'error.type': 'TypeError' })
  assert.equal(long?.error?.message.length, 1024)
  assert.deepEqual([left?.error, left?.attributes], [undefined, { cancelled: true }])
})

test('sampling: all, none, the share that was asked for; and everybody decides alike', async () => {
  const share = async (probability: number) => {
    const { tracer, spans } = record(probability)
    for (let i = 0; i < 5000; i++) {
      await traced(tracer, 'root', {}, () => traced(tracer, 'child', {}, () => Promise.resolve()))
    }
    assert.equal(spans.length % 2, 0, 'whole traces')
    return spans.length / 10_000
  }
  assert.equal(await share(0), 0)
  assert.equal(await share(1), 1)
  const some = await share(0.3)
  assert.ok(Math.abs(some - 0.3) < 0.03, `${some}`)
  assert.equal(isSampled('f'.repeat(32), 1), true)
  assert.equal(isSampled('0'.repeat(31) + '1', 0), false)
  // 0.3 of 16^13 is 4cccccccccccc.c in hex.
  assert.equal(isSampled(`${'f'.repeat(19)}4cccccccccccc`, 0.3), true)
  assert.equal(isSampled(`${'0'.repeat(19)}4cccccccccccd`, 0.3), false)
})

test('OTLP: 64-bit integers as text, ids in hex, kinds and status as numbers', () => {
  const span: SpanRecord = {
    ...REMOTE,
    parentSpanId: 'c'.repeat(16),
    traceState: 'a=1',
    name: 'cluster/Pin',
    kind: 'client',
    startNs: 1_790_000_000_000_000_001n,
    endNs: 1_790_000_000_000_000_002n,
    attributes: { text: 'é"', int: 3, float: 0.5, yes: true, nan: Number.NaN },
    error: { message: 'no' },
    events: [{ name: 'exception', timeNs: 5n, attributes: { a: 'b' } }],
  }
  const root: SpanRecord = {
    ...span,
    parentSpanId: '',
    traceState: '',
    error: undefined,
    events: [],
    attributes: {},
  }
  const text = encodeSpans([span, root], { 'service.name': 's' }, { name: 'scope', version: '1' })
  const wire = {
    traceId: REMOTE.traceId,
    spanId: REMOTE.spanId,
    flags: 1,
    name: 'cluster/Pin',
    kind: 3,
    startTimeUnixNano: '1790000000000000001',
    endTimeUnixNano: '1790000000000000002',
  }
  assert.deepEqual(JSON.parse(text), {
    resourceSpans: [
      {
        resource: { attributes: [{ key: 'service.name', value: { stringValue: 's' } }] },
        scopeSpans: [
          {
            scope: { name: 'scope', version: '1' },
            spans: [
              {
                ...wire,
                parentSpanId: 'c'.repeat(16),
                traceState: 'a=1',
                attributes: [
                  { key: 'text', value: { stringValue: 'é"' } },
                  { key: 'int', value: { intValue: '3' } },
                  { key: 'float', value: { doubleValue: 0.5 } },
                  { key: 'yes', value: { boolValue: true } },
                  { key: 'nan', value: { doubleValue: 'NaN' } },
                ],
                events: [
                  {
                    timeUnixNano: '5',
                    name: 'exception',
                    attributes: [{ key: 'a', value: { stringValue: 'b' } }],
                  },
                ],
                status: { code: 2, message: 'no' },
              },
              { ...wire, attributes: [], status: {} },
            ],
          },
        ],
      },
    ],
  })
})

test('wrapped ports keep what is not replaced, private parts too; without tracing they are what they were', async () => {
  class Port {
    readonly #secret = 5
    get value() {
      return this.#secret
    }
    async one(by: number) {
      return this.#secret * by
    }
    async two() {
      return this.#secret
    }
  }
  const port = new Port()
  const wrapped = withMethods(port, { two: () => Promise.resolve(7) })
  assert.deepEqual([wrapped.value, await wrapped.one(2), await wrapped.two()], [5, 10, 7])
  const { one } = wrapped
  assert.equal(await one(3), 15)
  const ipfs = {} as Parameters<typeof tracedConnector>[0]
  assert.equal(tracedConnector(ipfs, noopTracer), ipfs)

  const { tracer, spans } = record()
  const { one: within } = createWrappers(tracer, { alone: false })
  const method = within(
    'method',
    (by: number) => port.one(by),
    ([by]) => ({ by }),
  )
  assert.equal(await method(2), 10)
  assert.equal(spans.length, 0, 'on behalf of nobody')
  await traced(tracer, 'root', {}, () => method(3))
  assert.deepEqual(spans[0]?.attributes, { by: 3 })
})
