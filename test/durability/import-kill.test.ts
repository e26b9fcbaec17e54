import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { startProcess } from '@ipfs-cluster/testkit'
import { benchCid } from '../bench/bed.ts'
import { binaries, LOOPBACK, preparePeer } from '../interop/peers.ts'
import { stablePorts } from '../interop/ports.ts'

const KILLS = 3

const lines = (series: string, count: number) =>
  Array.from(
    { length: count },
    (_, i) => `{"cid":"${benchCid(series, i)}","replication_factor_min":-1,"replication_factor_max":-1}\n`,
  )

test('an import that is killed leaves the old pinset or the new one, whole', async () => {
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'import-'))
  stack.defer(() => rm(folder, { recursive: true }))
  const [swarmPort = 0, restPort = 0] = await stablePorts(2)
  const secret = randomBytes(32).toString('hex')
  const peer = stack.use(
    await preparePeer({
      kind: 'ts',
      name: 'import',
      folder: join(folder, 'peer'),
      place: LOOPBACK,
      swarmPort,
      restPort,
      secret,
    }),
  )
  const pinset = async () => {
    const { code, stdout, stderr } = await peer.run(['state', 'export'])
    assert.equal(code, 0, stderr)
    return stdout.split('\n').filter(line => line !== '').length
  }
  const sizes = { old: 500, next: 3_000 }
  assert.equal((await peer.run(['state', 'import', '--force'], lines('old', sizes.old).join(''))).code, 0)
  assert.equal(await pinset(), sizes.old)
  const file = join(folder, 'next')
  await writeFile(file, lines('next', sizes.next).join(''))
  const began = performance.now()
  assert.equal((await peer.run(['state', 'import', '--force', file])).code, 0)
  const whole = performance.now() - began
  for (let kill = 0; kill < KILLS; kill++) {
    assert.equal((await peer.run(['state', 'import', '--force'], lines('old', sizes.old).join(''))).code, 0)
    await using importing = await startProcess(binaries.ts, [
      '--config',
      peer.folder,
      'state',
      'import',
      '--force',
      file,
    ])
    await delay(whole * (0.3 + (0.7 * (kill + Math.random())) / KILLS))
    importing.kill('SIGKILL')
    await importing.exited
    const found = await pinset()
    assert.ok(found === sizes.old || found === sizes.next, `${found} pins`)
  }
})
