/** The examples of packages/api/README.md are checked by the compiler and run against a peer. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { createClient, filePart } from '@ipfs-cluster/api/client'
import { createNodeTransport } from '@ipfs-cluster/api/node'
import { runProcess } from '@ipfs-cluster/testkit'
import { startInProcessPeer, type InProcessPeer } from './in-process-peer.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const README = join(ROOT, 'packages/api/README.md')
const PEER_URL = 'http://127.0.0.1:9094'

/** What each example prints, in their order. */
const PRINTS: readonly RegExp[] = [
  /^greeting bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e\n$/,
  /^added photos\/a\.txt baf\w+ \d+\nadded photos baf\w+ \d+\nadded 4 entries\n$/,
  /^pinned Qm\w+\npinned baf\w+\n$/,
  /^added chosen\.txt Qm\w+\n$/,
  /^404 pin is not part of the pinset\n$/,
  /^TimeoutError\n$/,
  /^here is there\n$/,
]

/** Stands in for the page of the browser's example: an input into which a file was chosen. */
const PAGE = `globalThis.document = {
  querySelector: () => ({
    files: [new File(['chosen'], 'chosen.txt')],
    addEventListener: (event, listener) => queueMicrotask(listener),
  }),
}
`

let here: InProcessPeer
let folder: string
let examples: string[]

before(async () => {
  here = await startInProcessPeer()
  const text = await readFile(README, 'utf8')
  examples = [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = '']) => code)
  // Inside the tree, so that the packages are found as by anybody who has installed them.
  folder = await mkdtemp(join(ROOT, 'packages/api/.readme-'))
  await mkdir(join(folder, 'photos'))
  await writeFile(join(folder, 'photos/a.txt'), 'A')
  await writeFile(join(folder, 'page.mjs'), PAGE)
  for (const [i, code] of examples.entries()) {
    assert.ok(code.includes(PEER_URL), code)
    await writeFile(join(folder, `example-${i}.ts`), code.replaceAll(PEER_URL, here.url))
  }
  const client = createClient({ hosts: [here.url] }, { transport: createNodeTransport() })
  const parts = [filePart('greeting', 'hello world')]
  await Array.fromAsync(client.add({ parts, params: { cidVersion: 1, rawLeaves: true, noPin: true } }))
})

after(async () => {
  await rm(folder, { recursive: true, force: true })
  await here[Symbol.asyncDispose]()
})

test('the examples compile', async () => {
  const config = { extends: '../../../tsconfig.json', include: ['*.ts'] }
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(config))
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
  const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', folder], { encoding: 'utf8' })
  assert.equal(status, 0, stdout)
})

test('every example has an expectation', () => {
  assert.equal(examples.length, PRINTS.length)
})

for (const [i, expected] of PRINTS.entries()) {
  test(`example ${i + 1} does what it says`, async () => {
    const page = examples[i]?.includes('document.') === true ? ['--import', './page.mjs'] : []
    const { code, stdout, stderr } = await runProcess(process.execPath, [...page, `example-${i}.ts`], {
      cwd: folder,
    })
    assert.equal(code, 0, stderr)
    assert.match(stdout, expected)
  })
}
