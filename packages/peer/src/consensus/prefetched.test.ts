import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PrefetchedNodes } from './prefetched.ts'

test('keeps as many bytes as it may, the newest, and tells of what nobody asked for', () => {
  const dropped: string[] = []
  const nodes = new PrefetchedNodes<string>(10, source => void dropped.push(source))
  nodes.add('1', new Uint8Array(4), 'a')
  nodes.add('2', new Uint8Array(4), 'b')
  assert.equal(nodes.take('1')?.source, 'a')
  assert.equal(nodes.take('1'), undefined)
  nodes.add('3', new Uint8Array(4), 'c')
  assert.equal(nodes.bytes, 8)
  nodes.add('4', new Uint8Array(5), 'd')
  assert.deepEqual(dropped, ['b'])
  assert.equal(nodes.take('2'), undefined)
  nodes.add('4', new Uint8Array(6), 'e')
  assert.deepEqual([nodes.size, nodes.bytes], [2, 10])
  nodes.clear()
  assert.deepEqual(dropped, ['b', 'c', 'e'])
  assert.deepEqual([nodes.size, nodes.bytes], [0, 0])
  nodes.add('5', new Uint8Array(11), 'f')
  assert.equal(nodes.size, 0)
})
