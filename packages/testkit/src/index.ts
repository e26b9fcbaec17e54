/**
 * Private to this repository: fakes of narrow ports, conformance suites that a fake and its real adapter both pass, and the
 * launchers of real processes. Nothing here is for production.
 */
export * from './fake-ipfs-node.ts'
export * from './fake-kubo-failures.ts'
export * from './fake-kubo.ts'
export {
  createFakeNetworks,
  fakePeerId,
  type FakeNetworks,
  type FakeNetworksOptions,
} from './fake-network.ts'
export * from './ipfs-connector-conformance.ts'
export * from './manual-clock.ts'
export * from './process.ts'
export * from './real-kubo.ts'
export * from './test-blocks.ts'
export * from './wait-for.ts'
