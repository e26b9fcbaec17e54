import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runProcess } from '@ipfs-cluster/testkit'
import { loadFfi } from './c-library.ts'
import { trimMalloc } from './malloc.ts'

const MIB = 1024 * 1024

/** Memory that is free, but not at the end of a heap, before and after trimming: resident bytes. */
const PROGRAM = `
  const { keepMallocSmall, trimMalloc } = await import(process.argv[1])
  const isSmall = keepMallocSmall()
  const used = process.memoryUsage().arrayBuffers
  let all = Array.from({ length: 100_000 }, () => Buffer.allocUnsafeSlow(1_000).fill(1))
  const last = all.at(-1)
  all = undefined
  gc()
  // The buffers are freed by a thread of V8.
  const isHeld = () => process.memoryUsage().arrayBuffers > used + 10_000_000
  for (let i = 0; i < 1_000 && isHeld(); i++) await new Promise(resolve => setTimeout(resolve, 10))
  const before = process.memoryUsage.rss()
  const isTrimmed = trimMalloc()
  console.log(JSON.stringify({ isSmall, isTrimmed, given: before - process.memoryUsage.rss(), last: last.length }))`

test(
  'what malloc holds free is given back',
  { skip: !trimMalloc() && 'no glibc that Node can call' },
  async () => {
    const args = ['--expose-gc', '--input-type=module', '-e', PROGRAM, import.meta.resolve('./malloc.ts')]
    const { code, stdout, stderr } = await runProcess(process.execPath, args)
    assert.equal(code, 0, stderr)
    assert.equal(stderr, '')
    const { isSmall, isTrimmed, given } = JSON.parse(stdout) as Record<string, number | boolean>
    assert.deepEqual([isSmall, isTrimmed], [true, true])
    assert.ok(Number(given) > 30 * MIB, `${given} bytes`)
  },
)

test('where the C library cannot be called, nothing happens', async () => {
  const args = [
    '--no-experimental-ffi',
    '--input-type=module',
    '-e',
    'const m = await import(process.argv[1]); console.log(m.keepMallocSmall(), m.trimMalloc())',
    import.meta.resolve('./malloc.ts'),
  ]
  if (loadFfi() === undefined) args.shift()
  const { code, stdout, stderr } = await runProcess(process.execPath, args)
  assert.deepEqual([code, stdout.trim(), stderr], [0, 'false false', ''])
})
