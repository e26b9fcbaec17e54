import assert from 'node:assert/strict'
import { test } from 'node:test'
import { noopTracer, traced, tracedItems, traceHeaders, type Span, type Tracer } from './tracer.ts'

/** Tells what happens to spans; the one under way is known only while `run` is on the stack. */
function fakeTracer() {
  const events: string[] = []
  const stack: string[] = []
  const tracer: Tracer = {
    start(name): Span {
      events.push(`start ${name}`)
      return {
        set: attributes => void events.push(`set ${JSON.stringify(attributes)}`),
        fail: error => void events.push(`fail ${String(error)}`),
        end: () => void events.push(`end ${name}`),
        run(work) {
          stack.push(name)
          try {
            return work()
          } finally {
            stack.pop()
          }
        },
      }
    },
    active: () => undefined,
  }
  return { tracer, events, stack }
}

test('a span ends when its work does, well or badly', async () => {
  const { tracer, events, stack } = fakeTracer()
  assert.equal(await traced(tracer, 'a', {}, async () => stack.join()), 'a')
  const boom = new Error('boom')
  await assert.rejects(
    traced(tracer, 'b', {}, () => Promise.reject(boom)),
    error => error === boom,
  )
  await assert.rejects(
    traced(tracer, 'c', {}, () => {
      throw boom
    }),
    error => error === boom,
  )
  const failed = (name: string) => [`start ${name}`, 'fail Error: boom', `end ${name}`]
  assert.deepEqual(events, ['start a', 'end a', ...failed('b'), ...failed('c')])
})

test('items are made within the span, and it ends with them, with their failure, or when the reader leaves', async () => {
  const { tracer, events, stack } = fakeTracer()
  const source = async function* (count: number) {
    try {
      for (let i = 0; i < count; i++) yield stack.join()
      if (count === 2) throw new Error('boom')
    } finally {
      events.push('closed')
    }
  }
  const items = (count: number) => tracedItems(tracer, 'list', {}, () => source(count))
  assert.deepEqual(await Array.fromAsync(items(3)), ['list', 'list', 'list'])
  assert.deepEqual(events.splice(0), ['start list', 'closed', 'set {"items":3}', 'end list'])

  await assert.rejects(Array.fromAsync(items(2)), /boom/)
  const afterFailure = ['start list', 'closed', 'fail Error: boom', 'set {"items":2}', 'end list']
  assert.deepEqual(events.splice(0), afterFailure)

  for await (const _item of items(5)) break
  assert.deepEqual(events.splice(0), ['start list', 'closed', 'set {"items":1}', 'end list'])
  items(1)
  assert.deepEqual(events, [], 'nobody has asked for an item yet')
})

test('without tracing nothing stands between caller and work', async () => {
  const promise = Promise.resolve(1)
  assert.equal(
    traced(noopTracer, 'a', {}, () => promise),
    promise,
  )
  assert.deepEqual(
    await Array.fromAsync(
      tracedItems(noopTracer, 'a', {}, async function* () {
        yield 1
      }),
    ),
    [1],
  )
  assert.equal(traceHeaders(noopTracer), undefined)
  const span = noopTracer.start('a')
  assert.equal(
    span.run(() => 7),
    7,
  )
  span.set({ a: 1 })
  span.fail(new Error('no matter'))
  span.end()
})
