import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { silentLogger, systemClock, systemRandom } from '@ipfs-cluster/base'
import { createIpfsNode, defaultIpfsNodeConfig } from '@ipfs-cluster/ipfs'
import {
  createFakeIpfsNode,
  createFakeKubo,
  kuboBinary,
  runIpfsConnectorConformance,
  startRealKubo,
  type ConnectorSetupConfig,
} from '@ipfs-cluster/testkit'
import { createEmbeddedConnector, createKuboConnector } from './index.ts'

const components = { clock: systemClock, logger: silentLogger }

function kuboConnector(api: string, config: ConnectorSetupConfig) {
  return createKuboConnector(components, {
    nodeMultiaddress: api,
    ipfsRequestTimeoutMs: 30_000,
    unpinTimeoutMs: 30_000,
    repogcTimeoutMs: 30_000,
    ...config,
  })
}

runIpfsConnectorConformance('Kubo, faked', async config => {
  const kubo = await createFakeKubo({ needsBlocks: true })
  const connector = kuboConnector(kubo.api, config)
  return {
    connector,
    async [Symbol.asyncDispose]() {
      await connector[Symbol.asyncDispose]()
      await kubo[Symbol.asyncDispose]()
    },
  }
})

const binary = kuboBinary
if (binary === undefined) {
  describe('IpfsConnector: Kubo, real', () => {
    it('passes the conformance suite', { skip: 'set KUBO_BIN to the path of an ipfs binary' })
  })
} else {
  runIpfsConnectorConformance('Kubo, real', async config => {
    const kubo = await startRealKubo(binary)
    const connector = kuboConnector(kubo.api, config)
    return {
      connector,
      async [Symbol.asyncDispose]() {
        await connector[Symbol.asyncDispose]()
        await kubo[Symbol.asyncDispose]()
      },
    }
  })
}

runIpfsConnectorConformance('embedded, over a fake node', async config => {
  const node = createFakeIpfsNode()
  const connector = createEmbeddedConnector({ ...components, node }, config)
  return { connector, [Symbol.asyncDispose]: () => connector[Symbol.asyncDispose]() }
})

runIpfsConnectorConformance('embedded, over the built-in node', async config => {
  const path = await mkdtemp(join(tmpdir(), 'ipfs-node-'))
  const node = await createIpfsNode(
    { ...components, random: systemRandom },
    { ...defaultIpfsNodeConfig, path, listen: ['/ip4/127.0.0.1/tcp/0'] },
  )
  const connector = createEmbeddedConnector({ ...components, node }, config)
  return {
    connector,
    async [Symbol.asyncDispose]() {
      await connector[Symbol.asyncDispose]()
      await node[Symbol.asyncDispose]()
      await rm(path, { recursive: true })
    },
  }
})
