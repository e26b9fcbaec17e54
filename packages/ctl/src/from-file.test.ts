import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { newPin, type PinOptions } from '@ipfs-cluster/api'
import { HttpError, serveRoutes } from '@ipfs-cluster/api/test-server'
import { systemClock } from '@ipfs-cluster/base'
import { handlers, V0, V1 } from './test-peer.ts'
import { ctl, hostOf, type Outcome } from './test-run.ts'
import type { Io } from './io.ts'

let folder = ''
let file = ''
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'from-file-'))
  file = join(folder, 'cids')
})
after(() => rm(folder, { recursive: true }))

async function run(content: string, line: string, changes: Partial<Io> = {}, routes = {}): Promise<Outcome> {
  await writeFile(file, content)
  await using server = await serveRoutes({ ...handlers, ...routes })
  const words = line.replace('FILE', file).split(' ')
  return await ctl(['--host', hostOf(server.url), ...words], changes)
}

test('every line is pinned; comments and blank lines are passed over', async () => {
  const content = `# what we keep\n\n${V1}\r\n  "${V1}"\n{"cid":"${V1}"}`
  assert.deepEqual(await run(content, 'pin add --from-file FILE'), {
    code: 0,
    stdout: 'pinned 3\n',
    stderr: '',
  })
  const json = await run(content, '--enc json pin add --from-file FILE')
  assert.deepEqual(JSON.parse(json.stdout), { done: 3, failed: 0 })
  assert.deepEqual(await run(content, 'pin rm --from-file=FILE'), {
    code: 0,
    stdout: 'unpinned 3\n',
    stderr: '',
  })
  assert.deepEqual(await run('', 'pin add --from-file FILE'), { code: 0, stdout: 'pinned 0\n', stderr: '' })
})

test('what fails is told with its line, the rest goes on, and the exit code says so', async () => {
  const content = `${V1}\n# no\nnonsense\n${V0}\n{"cid":"${V1}","name":"fail"}\n{"cid":7}\n${V1}\n${'x'.repeat(200_000)}\n`
  const { code, stdout, stderr } = await run(content, 'pin add --from-file FILE')
  assert.equal(code, 1)
  assert.equal(stdout, 'pinned 2, failed 5\n')
  const lines = stderr.split('\n')
  const line = (number: number) => lines.find(each => each.startsWith(`line ${number}: `)) ?? ''
  assert.match(line(3), /^line 3: nonsense: invalid cid/)
  assert.equal(line(4), `line 4: ${V0}: not enough peers (500)`)
  assert.equal(line(5), `line 5: ${V1}: not enough peers (500)`)
  assert.match(line(6), /^line 6: \{"cid":7\}: error decoding Cid/)
  assert.match(line(8), /^line 8: x{80}: longer than 131072 characters$/)
  assert.equal(lines.at(-2), `error reading ${file}: 5 of 7 lines failed`)
  const removed = await run(`${V0}\n`, 'pin rm --from-file FILE')
  assert.deepEqual([removed.code, removed.stdout], [1, 'unpinned 0, failed 1\n'])
})

test('flags are the options of all, lines may have their own', async () => {
  const asked: PinOptions[] = []
  const singles = {
    pinMany() {
      throw new HttpError(405, '')
    },
    pin({ options }: { options: PinOptions }) {
      asked.push(options)
      return newPin(V1)
    },
  }
  const content = `${V1}\n{"cid":"${V1}","name":"own","replication_factor_min":1}\n`
  const flags = 'pin add -r 2 --name all --metadata a=b --mode direct --from-file FILE'
  assert.equal((await run(content, flags, {}, singles)).stdout, 'pinned 2\n')
  assert.deepEqual(
    asked.map(options => [
      options.name,
      options.replicationFactorMin,
      options.replicationFactorMax,
      options.mode,
      options.metadata,
    ]),
    [
      ['all', 2, 2, 'direct', { a: 'b' }],
      ['own', 1, 2, 'direct', { a: 'b' }],
    ],
  )
})

test('a peer without the route is asked one by one', async () => {
  const routes = {
    unpinMany() {
      throw new HttpError(404, 'not found')
    },
    unpin() {
      throw new HttpError(404, 'pin is not part of the pinset')
    },
  }
  const { code, stderr } = await run(`${V1}\n`, 'pin rm --from-file FILE', {}, routes)
  assert.equal(code, 1)
  assert.match(stderr, new RegExp(`^line 1: ${V1}: pin is not part of the pinset \\(404\\)\n`))
})

test('stdin is read as it comes', async () => {
  async function* stdin() {
    yield Buffer.from(`${V1}\n${String(V1).slice(0, 20)}`)
    await systemClock.sleep(5)
    yield Buffer.from(`${String(V1).slice(20)}\n${V1}`)
  }
  assert.equal((await run('', 'pin add --from-file -', { stdin })).stdout, 'pinned 3\n')
})

test('what cannot be: a CID beside the file, --wait, no such file, a peer that gives up', async () => {
  const both = await run('', `pin add --from-file FILE ${V1}`)
  assert.deepEqual([both.code, both.stderr], [1, 'error : give a CID or --from-file, not both\n'])
  assert.match((await run('', 'pin add --wait --from-file FILE')).stderr, /--wait is for one pin/)
  const missing = await run('', `pin rm --from-file ${folder}/nothing`)
  assert.deepEqual(
    [missing.code, missing.stdout, missing.stderr],
    [
      1,
      'unpinned 0\n',
      `error reading ${folder}/nothing: open ${folder}/nothing: no such file or directory\n`,
    ],
  )
  const follower = {
    pinMany() {
      throw new HttpError(500, 'follower mode')
    },
  }
  const refused = await run(`${V1}\n`, 'pin add --from-file FILE', {}, follower)
  assert.equal(refused.code, 2)
  assert.equal(refused.stdout, 'pinned 0\nAn error occurred:\n  Code: 500\n  Message: follower mode\n')
})

test('on a terminal a line tells how far it is, and is gone in the end', async () => {
  const written: string[] = []
  const terminal = { write: async (text: string) => void written.push(text), columns: () => 100 }
  const content = `${V1}\n`.repeat(50)
  const { stdout } = await run(content, 'pin add --from-file FILE', { terminal, clock: systemClock })
  assert.equal(stdout, 'pinned 50\n')
  assert.match(written.join(''), /lines/)
  assert.equal(written.at(-1), '\r\u001B[K')
  const quiet: string[] = []
  const silent = { write: async (text: string) => void quiet.push(text), columns: () => 100 }
  await run(content, '--enc json pin add --from-file FILE', { terminal: silent })
  assert.deepEqual(quiet, [])
})
