import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createDisplay, type PeerRow } from './table.ts'

function display(isTTY: boolean) {
  let text = ''
  const write = (more: string) => (text += more) !== ''
  return { ...createDisplay({ isTTY, write } as NodeJS.WriteStream), text: () => text }
}

const row = (bytes: number): PeerRow => ({ name: 'peer1', status: 'pinned 1', bytes, pinned: 1, expected: 1 })

test('without a terminal, lines come at intervals, and the last one comes in any case', () => {
  const { show, say, text } = display(false)
  for (const bytes of [0, 1000, 2000]) show('Replicating', [row(bytes)])
  assert.equal(text(), 'Replicating | peer1: pinned 1, 0 B\n')
  say('Everything is pinned.')
  assert.equal(
    text(),
    'Replicating | peer1: pinned 1, 0 B\nReplicating | peer1: pinned 1, 2.0 kB\nEverything is pinned.\n',
  )
})

test('without a terminal, what was shown is not shown again', () => {
  const { show, say, text } = display(false)
  for (const bytes of [0, 1000, 0]) show('Replicating', [row(bytes)])
  say('done')
  assert.equal(text(), 'Replicating | peer1: pinned 1, 0 B\ndone\n')
})

test('on a terminal the table is drawn over', () => {
  const { show, text } = display(true)
  for (const bytes of [0, 1000]) show('Replicating', [row(bytes)])
  const [first, again] = text().split('\x1b[3A\x1b[J')
  assert.match(first ?? '', /^Replicating\n {2}PEER .*\n {2}peer1 .* 0 B .*\n$/)
  assert.match(again ?? '', /^Replicating\n {2}PEER .*\n {2}peer1 .* 1\.0 kB .*\n$/)
})
