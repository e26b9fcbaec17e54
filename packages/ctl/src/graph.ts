/** The connectivity graph of a cluster in Graphviz's DOT language, as Go's ctl writes it. */
import type { ConnectGraph, PeerId } from '@ipfs-cluster/api'

interface Node {
  readonly id: string
  readonly peer: PeerId
  readonly label: readonly [string, string]
  readonly color: string
  readonly shape: 'box3d' | 'cylinder'
  readonly self: boolean
}

/** @param allIpfsPeers show IPFS peers outside the cluster too. */
export function dotText(graph: ConnectGraph, allIpfsPeers: boolean): string {
  const clusterPeers = Object.keys(graph.clusterLinks).sort()
  const ipfsLinks = linksToShow(graph.ipfsLinks, allIpfsPeers)
  const ipfsPeers = Object.keys(ipfsLinks).sort()
  const errored = clusterPeers.filter(peer => graph.clusterToIpfs[peer] === undefined)
  const clusterNodes = clusterPeers.map((peer, i) => clusterNode(graph, peer, i))
  const ipfsNodes = [
    ...ipfsPeers.map((peer, i) => ipfsNode(peer, i, false)),
    ...errored.map((peer, i) => ipfsNode(peer, ipfsPeers.length + i, true)),
  ]
  const clusterIds = new Map(clusterNodes.map(node => [node.peer, node.id]))
  const ipfsIds = new Map(ipfsNodes.map(node => [node.peer, node.id]))
  const edge = (from: string | undefined, to: string | undefined, style = '') =>
    // An end without a node is one that the peer did not report.
    from === undefined || to === undefined ? [] : [`${from} -> ${to}${style}`]
  return [
    'digraph cluster {',
    '/* The nodes of the connectivity graph */',
    '/* The cluster-service peers */',
    ...subgraph('min', clusterNodes),
    '',
    '/* The ipfs peers */',
    ...subgraph('max', ipfsNodes),
    '',
    '/* Edges representing active connections in the cluster */',
    '/* The connections among cluster-service peers */',
    ...clusterPeers.flatMap(peer =>
      (graph.clusterLinks[peer] ?? []).flatMap(other => edge(clusterIds.get(peer), clusterIds.get(other))),
    ),
    '',
    '/* The connections between cluster peers and their ipfs daemons */',
    ...clusterPeers.flatMap(peer => {
      const daemon = graph.clusterToIpfs[peer]
      return daemon === undefined
        ? edge(clusterIds.get(peer), ipfsIds.get(peer), ' [ style="dotted" ]')
        : edge(clusterIds.get(peer), ipfsIds.get(daemon))
    }),
    '',
    '/* The swarm peer connections among ipfs daemons in the cluster */',
    ...ipfsPeers.flatMap(peer =>
      (ipfsLinks[peer] ?? []).flatMap(other => edge(ipfsIds.get(peer), ipfsIds.get(other))),
    ),
    '}',
  ].join('\n')
}

type Links = Readonly<Record<PeerId, readonly PeerId[]>>

function linksToShow(links: Links, all: boolean): Links {
  const shown: Record<PeerId, readonly PeerId[]> = {}
  for (const [peer, others] of Object.entries(links)) {
    shown[peer] = others.filter(other => all || links[other] !== undefined)
  }
  if (all) for (const other of Object.values(links).flat()) shown[other] ??= []
  return shown
}

function clusterNode(graph: ConnectGraph, peer: PeerId, index: number): Node {
  const self = peer === graph.clusterId
  const trusted = graph.clusterTrustLinks[peer] === true
  return {
    id: `${!self && trusted ? 'T' : 'C'}${index}`,
    peer,
    label: [graph.idToPeername[peer] ?? '', shortId(peer)],
    color: self || trusted ? 'orange' : 'darkorange3',
    shape: 'box3d',
    self,
  }
}

function ipfsNode(peer: PeerId, index: number, errored: boolean): Node {
  return {
    id: `I${index}`,
    peer,
    label: ['IPFS', errored ? 'Errored' : shortId(peer)],
    color: errored ? 'firebrick1' : 'turquoise3',
    shape: 'cylinder',
    self: false,
  }
}

function subgraph(rank: string, nodes: readonly Node[]): string[] {
  return ['subgraph  {', `rank="${rank}"`, ...nodes.map(nodeText), '}']
}

function nodeText(node: Node): string {
  const [name, id] = node.label
  const attributes = [
    `label=< <B> ${name} </B> <BR/> <B> ${id} </B> >`,
    `group="${node.peer}"`,
    `color="${node.color}"`,
    'style="filled"',
    'colorscheme="x11"',
    'fontcolor="black"',
    'fontname="Arial"',
    `shape="${node.shape}"`,
    ...(node.self ? ['peripheries="2"'] : []),
  ]
  return `${node.id} [${attributes.join(' ')} ]`
}

function shortId(peer: PeerId): string {
  return `${peer.slice(0, 2)}*${peer.slice(-6)}`
}
