import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runProcess } from '@ipfs-cluster/testkit'

test('this V8 knows the flags: it complains of others', async () => {
  const complaints = async (program: string) => {
    const args = ['--input-type=module', '-e', program, import.meta.resolve('./heap.ts')]
    const { code, stderr } = await runProcess(process.execPath, args)
    assert.equal(code, 0, stderr)
    return stderr
  }
  assert.equal(await complaints('(await import(process.argv[1])).keepHeapSmall()'), '')
  const unknown = `import { setFlagsFromString } from 'node:v8'; setFlagsFromString('--no-such-flag')`
  assert.match(await complaints(unknown), /no-such-flag/)
})
