import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { cleanTracestate, formatTraceHeaders, parseTraceHeaders } from './trace-context.ts'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const SPAN = '00f067aa0ba902b7'
const parse = (traceparent: string, tracestate?: string) => parseTraceHeaders(traceparent, tracestate)

test('traceparent: the examples of the specification', () => {
  assert.deepEqual(parse(`00-${TRACE}-${SPAN}-01`), { traceId: TRACE, spanId: SPAN, sampled: true })
  assert.deepEqual(parse(`00-${TRACE}-${SPAN}-00`), { traceId: TRACE, spanId: SPAN, sampled: false })
  assert.equal(parseTraceHeaders(undefined), undefined)
})

test('traceparent: only the lowest flag is known', () => {
  assert.equal(parse(`00-${TRACE}-${SPAN}-ff`)?.sampled, true)
  assert.equal(parse(`00-${TRACE}-${SPAN}-02`)?.sampled, false)
  const context = parse(`00-${TRACE}-${SPAN}-03`) ?? assert.fail()
  assert.equal(formatTraceHeaders(context).traceparent, `00-${TRACE}-${SPAN}-01`)
})

test('traceparent: later versions may go on, the first may not', () => {
  const known = { traceId: TRACE, spanId: SPAN, sampled: true }
  assert.deepEqual(parse(`01-${TRACE}-${SPAN}-01`), known)
  assert.deepEqual(parse(`cc-${TRACE}-${SPAN}-01-what-the-future-will-be-like`), known)
  assert.deepEqual(parse(`cc-${TRACE}-${SPAN}-01-`), known)
  assert.equal(parse(`cc-${TRACE}-${SPAN}-01.what-the-future-will-not-be-like`), undefined)
  assert.equal(parse(`00-${TRACE}-${SPAN}-01-what-the-future-will-be-like`), undefined)
  assert.equal(parse(`00-${TRACE}-${SPAN}-01-`), undefined)
  assert.equal(parse(`ff-${TRACE}-${SPAN}-01`), undefined)
})

test('traceparent: what is malformed begins a new trace', () => {
  const zero = (length: number) => '0'.repeat(length)
  const malformed = [
    '',
    '00',
    `0-${TRACE}-${SPAN}-01`,
    `000-${TRACE}-${SPAN}-01`,
    `00-${zero(32)}-${SPAN}-01`,
    `00-${TRACE}-${zero(16)}-01`,
    `00-${TRACE.toUpperCase()}-${SPAN}-01`,
    `00-${TRACE}-${SPAN.toUpperCase()}-01`,
    `0.-${TRACE}-${SPAN}-01`,
    `00-${TRACE.slice(1)}-${SPAN}-01`,
    `00-${TRACE}0-${SPAN}-01`,
    `00-${TRACE}-${SPAN.slice(1)}-01`,
    `00-${TRACE}-${SPAN}0-01`,
    `00-${TRACE}-${SPAN}-1`,
    `00-${TRACE}-${SPAN}-.0`,
    `00-${TRACE}-${SPAN}`,
    `00_${TRACE}_${SPAN}_01`,
    ` 00-${TRACE}-${SPAN}-01`,
    `00-${TRACE}-${SPAN}-01 `,
    // Two headers, joined.
    `00-${TRACE}-${SPAN}-01, 00-${TRACE}-${SPAN}-01`,
    `cc-${TRACE}-${SPAN}-01-${'x'.repeat(500)}`,
  ]
  for (const text of malformed) assert.equal(parse(text), undefined, text)
})

test('traceparent: every context survives the way there and back, and no text does harm', () => {
  const hex = (length: number) =>
    fc
      .uint8Array({ minLength: length, maxLength: length })
      .filter(bytes => bytes.some(byte => byte !== 0))
      .map(bytes => Buffer.from(bytes).toString('hex'))
  fc.assert(
    fc.property(hex(16), hex(8), fc.boolean(), (traceId, spanId, sampled) => {
      const context = { traceId, spanId, sampled, traceState: 'a=1,b=2' }
      const { traceparent, tracestate } = formatTraceHeaders(context)
      assert.deepEqual(parseTraceHeaders(traceparent, tracestate), context)
    }),
  )
  fc.assert(fc.property(fc.string(), fc.string(), (a, b) => void parseTraceHeaders(a, b)))
})

test('tracestate: passed on when it is one', () => {
  const same = ['foo=1', 'foo=1,bar=2', 'fw529a3039@dt=FfAWNjE', '0tenant@v=x', 'a=b c', 'a*-_/0=!~']
  for (const text of same) assert.equal(cleanTracestate(text), text)
  assert.equal(cleanTracestate(' foo=1 \t, ,bar=2,'), 'foo=1,bar=2')
  const bad = ['', ' ', ',', 'foo', '=1', 'foo=', 'foo=1=2', 'Foo=1', '0foo=1', 'foo=\u00e9', 'foo=1,foo=2']
  for (const text of [...bad, 'foo @=1', 'a@Foo=1', `${'f'.repeat(257)}=1`, `a=${'v'.repeat(257)}`]) {
    assert.equal(cleanTracestate(text), undefined, text)
  }
  const members = (count: number) => Array.from({ length: count }, (_, i) => `k${i}=1`).join(',')
  assert.equal(cleanTracestate(members(32)), members(32))
  assert.equal(cleanTracestate(members(33)), undefined)
  assert.equal(parse(`00-${TRACE}-${SPAN}-01`, 'foo=')?.traceState, undefined, 'the parent stays')
  assert.equal(parse('nonsense', 'foo=1'), undefined, 'no state without a parent')
})

test('tracestate: beyond 512 characters the long members go first, then those on the right', () => {
  const member = (key: string, length: number) => `${key}=${'v'.repeat(length - key.length - 1)}`
  const [a, b, c] = [member('a', 200), member('b', 129), member('c', 120)]
  const short = Array.from({ length: 10 }, (_, i) => member(`s${i}`, 30))
  assert.equal(cleanTracestate([a, b, c, ...short].join(',')), [c, ...short].join(','))
  const many = Array.from({ length: 30 }, (_, i) => member(`k${i}`, 30))
  const kept = cleanTracestate(many.join(',')) ?? assert.fail()
  assert.ok(kept.length <= 512)
  assert.equal(kept, many.slice(0, 16).join(','))
  assert.equal(cleanTracestate(`${'a=1,'.repeat(10_000)}`), undefined)
})
