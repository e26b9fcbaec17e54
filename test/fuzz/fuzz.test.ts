/** Every target with some inputs of a fixed seed and some of a new one. For long runs: `run.ts`. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fuzz, type FuzzReport } from './fuzz.ts'
import { mutate } from './mutate.ts'
import { check, type Target } from './target.ts'
import { TARGETS } from './targets/index.ts'

const FIXED_SEED = 1
const INPUTS = 300
/** Of a target whose inputs are dearer. */
const LEAST = 30

const random = Math.floor(Math.random() * 2 ** 31)

function explain({ target, seed, failures }: FuzzReport): string {
  const all = failures.map(({ index, kind, message, stack, hex }) =>
    [`${kind} at input ${index}: ${message}`, ...stack.split('\n').slice(1, 6), hex].join('\n'),
  )
  return [`node test/fuzz/run.ts --target '${target}' --seed ${seed}`, ...all].join('\n')
}

for (const target of TARGETS) {
  test(target.name, async () => {
    const inputs = Math.max(LEAST, Math.round(INPUTS * (target.share ?? 1)))
    for (const seed of [FIXED_SEED, random]) {
      const report = await fuzz(target, { inputs, seed })
      assert.equal(report.failures.length, 0, explain(report))
      assert.ok(report.accepted > 0, `${target.name} accepts nothing with seed ${seed}`)
    }
  })
}

/** Refuses what starts with 1, and breaks in other ways on what starts with 2 to 4. */
const broken: Target = {
  name: 'broken',
  format: 'bytes',
  corpus: () => [Uint8Array.of(0)],
  refusal: error => (error instanceof RangeError ? 'NO' : undefined),
  allocation: { perByte: 1, constant: 2 ** 20 },
  run([first]) {
    if (first === 1) throw new RangeError('no')
    if (first === 2) throw new TypeError('a crash')
    if (first === 3) return Array.from({ length: 500_000 }, () => 0).length > 0
    check(first !== 4, 'never 4')
    return true
  },
}

test('the fuzzer finds crashes, broken properties and large allocations, and the same ones again', async () => {
  const options = { inputs: 5_000, seed: 3 }
  const [first, second] = [await fuzz(broken, options), await fuzz(broken, options)]
  const kinds = first.failures.map(({ kind, message }) => `${kind} ${message.replace(/\d{3,}.*/, '')}`).sort()
  assert.deepEqual(kinds, ['allocation ', 'error a crash', 'error never 4'])
  assert.ok((first.refused.get('NO') ?? 0) > 0)
  assert.deepEqual(
    first.failures.map(({ index, hex }) => [index, hex]),
    second.failures.map(({ index, hex }) => [index, hex]),
  )
  for (const { hex, kind } of first.failures) {
    assert.match(hex, kind === 'allocation' ? /^03/ : /^0[24]/)
  }
})

test('mutations keep within their size', () => {
  let state = 1
  const chance = {
    float: () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647,
    int: (limit: number) => Math.floor(chance.float() * limit),
    bytes: (length: number) => Uint8Array.from({ length }, () => chance.int(256)),
  }
  const input = new TextEncoder().encode('{"a":[1,{"b":"c"}]}')
  for (const format of ['bytes', 'json', 'text', 'protobuf', 'msgpack'] as const) {
    for (let i = 0; i < 2_000; i++) {
      const context = { random: chance, format, tokens: [], other: () => input, maxBytes: 500, growTo: 400 }
      assert.ok(mutate(input, context).length <= 500)
    }
  }
})
