/**
 * Two network namespaces with a cable between them that can be cut, and one from each to us for REST. Needs root; the addresses exist only
 * inside.
 */
import { runProcess } from '@ipfs-cluster/testkit'
import type { Place } from './peers.ts'

export interface Halves extends AsyncDisposable {
  readonly places: readonly [Place, Place]
  cut(): Promise<void>
  heal(): Promise<void>
}

export async function createHalves(): Promise<Halves> {
  const tag = `ic${process.pid % 100_000}`
  const [a, b] = [`${tag}a`, `${tag}b`]
  await using stack = new AsyncDisposableStack()
  for (const name of [a, b]) {
    await ip('netns', 'add', name)
    stack.defer(() => ip('netns', 'del', name))
    await inside(name, 'link', 'set', 'lo', 'up')
  }
  await ip('link', 'add', 'cable', 'netns', a, 'type', 'veth', 'peer', 'name', 'cable', 'netns', b)
  for (const [index, name] of [a, b].entries()) {
    await inside(name, 'address', 'add', `10.201.3.${index + 1}/24`, 'dev', 'cable')
    await inside(name, 'link', 'set', 'cable', 'up')
    const ours = `${tag}${index}`
    await ip('link', 'add', ours, 'type', 'veth', 'peer', 'name', 'rest', 'netns', name)
    await ip('address', 'add', `10.201.${index + 1}.1/24`, 'dev', ours)
    await ip('link', 'set', ours, 'up')
    await inside(name, 'address', 'add', `10.201.${index + 1}.2/24`, 'dev', 'rest')
    await inside(name, 'link', 'set', 'rest', 'up')
  }
  const place = (index: number, name: string): Place => ({
    prefix: ['ip', 'netns', 'exec', name],
    swarmIp: `10.201.3.${index + 1}`,
    restIp: `10.201.${index + 1}.2`,
  })
  const owned = stack.move()
  return {
    places: [place(0, a), place(1, b)],
    cut: () => inside(a, 'link', 'set', 'cable', 'down'),
    heal: () => inside(a, 'link', 'set', 'cable', 'up'),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

async function ip(...args: readonly string[]): Promise<void> {
  const { code, stderr } = await runProcess('ip', args)
  if (code !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`)
}

function inside(name: string, ...args: readonly string[]): Promise<void> {
  return ip('-n', name, ...args)
}
