import assert from 'node:assert/strict'
import { PassThrough, Readable } from 'node:stream'
import { test } from 'node:test'
import { createPrompt } from './prompt.ts'

const on = (stdin: Readable) => createPrompt({ stdin, stdout: new PassThrough() })

test('one answer after the other, however they arrive', async () => {
  for (const pieces of [['a\nb\nc'], ['a', '\n', 'b\r', '\nc\n'], ['a\n', 'b\nc\n']]) {
    using prompt = on(
      Readable.from(
        pieces.map(piece => Buffer.from(piece)),
        { objectMode: false },
      ),
    )
    const answers = [
      await prompt.ask('1'),
      await prompt.ask('2'),
      await prompt.ask('3'),
      await prompt.ask('4'),
    ]
    assert.deepEqual(answers, ['a', 'b', 'c', ''])
  }
})

test('what follows the answer stays in the input', async () => {
  const stdin = new PassThrough()
  stdin.write('y\n{"a":')
  using prompt = on(stdin)
  assert.equal(await prompt.confirm('?'), true)
  stdin.end('1}')
  assert.equal(Buffer.concat(await Array.fromAsync(stdin)).toString(), '{"a":1}')
})

test('disposing ends a question, and an input that fails is no answer', async () => {
  const stdin = new PassThrough()
  const prompt = on(stdin)
  const answer = prompt.confirm('?')
  prompt[Symbol.dispose]()
  assert.equal(await answer, false)
  assert.equal(await prompt.confirm('?'), false)
  const broken = new PassThrough()
  using other = on(broken)
  const asked = other.confirm('?')
  broken.destroy(new Error('gone'))
  assert.equal(await asked, false)
})
