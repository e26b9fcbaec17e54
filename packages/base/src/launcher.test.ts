import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

/** Makes Node look like one that is too old: its version, and `node:module` with what there was in Node 18. */
const OLD_NODE = `
import * as nodeModule from 'node:module'
Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '18.20.8' } })
globalThis.createRequire = nodeModule.createRequire
nodeModule.registerHooks({
  resolve: (name, context, next) => name === 'node:module' && !context.parentURL?.startsWith('node:')
    ? { url: 'data:text/javascript,export const createRequire = globalThis.createRequire', shortCircuit: true }
    : next(name, context),
})`

test('an old Node hands over to the packaged one', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'launcher-'))
  try {
    const old = join(folder, 'old.mjs')
    const entry = join(folder, 'entry.mjs')
    const start = join(folder, 'start.mjs')
    await writeFile(old, OLD_NODE)
    await writeFile(entry, 'console.log(process.versions.node, process.argv.slice(2).join())')
    await writeFile(
      start,
      `import { launch } from '${new URL('../launcher.mjs', import.meta.url).href}'
       await launch(new URL('entry.mjs', import.meta.url).href)`,
    )
    const { stdout, stderr } = spawnSync(process.execPath, ['--import', old, start, 'pin', 'ls'], {
      encoding: 'utf8',
      timeout: 30_000,
    })
    assert.equal(stderr, '')
    assert.match(stdout, /^(2[4-9]|[3-9]\d)\.\d+\.\d+ pin,ls\n$/)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
