import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  silentLogger,
  systemClock,
  systemRandom,
  type Clock,
  type Logger,
  type Meter,
} from '@ipfs-cluster/base'
import { createIdentity, type Identity } from '../identity/index.ts'
import { createNetwork, defaultNetworkConfig } from './network.ts'
import type { Network, NetworkConfig } from './types.ts'

export const TEST_SECRET = Uint8Array.from({ length: 32 }, (_, index) => index)

export interface TestNetworkOptions extends Partial<NetworkConfig> {
  readonly identity?: Identity
  readonly logger?: Logger
  readonly clock?: Clock
  readonly meter?: Meter
}

/** For tests of this room: loopback, quick heartbeats, no peerstore file. */
export function testNetworkConfig(options: Partial<NetworkConfig> = {}): NetworkConfig {
  return {
    ...defaultNetworkConfig,
    listen: ['/ip4/127.0.0.1/tcp/0'],
    secret: TEST_SECRET,
    mdns: false,
    pubsub: { ...defaultNetworkConfig.pubsub, heartbeatIntervalMs: 200 },
    peerstorePath: join(tmpdir(), 'no-such-folder', 'peerstore'),
    ...options,
  }
}

export async function createTestNetwork({
  identity,
  logger,
  clock = systemClock,
  meter,
  ...options
}: TestNetworkOptions = {}): Promise<Network> {
  return await createNetwork(
    {
      identity: identity ?? (await createIdentity()),
      clock,
      random: systemRandom,
      logger: logger ?? silentLogger,
      ...(meter && { meter }),
    },
    testNetworkConfig(options),
  )
}

/** The system's clock, but for sleeps of one length, which last another. */
export function hastyClock(sleepMs: number, insteadMs: number): Clock {
  return {
    ...systemClock,
    sleep: (ms, options) => systemClock.sleep(ms === sleepMs ? insteadMs : ms, options),
  }
}

/** The one address of a network that listens on one. */
export function addressOf(network: Network): string {
  const [address] = network.addresses()
  if (address === undefined) throw new Error('this network listens nowhere')
  return address
}

/** Waits until `condition` holds, at most `timeoutMs`. */
export async function until(condition: () => boolean | Promise<boolean>, timeoutMs = 5000): Promise<void> {
  const deadline = systemClock.timeout(timeoutMs)
  while (!(await condition())) {
    deadline.throwIfAborted()
    await systemClock.sleep(5)
  }
}
