/** `service.json` as a whole: which components it names, and reading, checking and writing them (Go: `config.Manager`). */
import { asError } from '@ipfs-cluster/base'
import { badger3Section, badgerSection, leveldbSection, pebbleSection } from './engines.ts'
import { invalid } from './errors.ts'
import { expectObject } from './kinds.ts'
import * as sections from './sections.ts'
import { caseless, type Environment, type Section } from './section.ts'

/** Group, component, section; in the order of the file. Components of a group are written sorted by name, as Go does. */
const GROUPS = {
  consensus: { crdt: sections.crdtSection, raft: sections.raftSection },
  api: {
    ipfsproxy: sections.ipfsproxySection,
    pinsvcapi: sections.pinsvcapiSection,
    restapi: sections.restapiSection,
  },
  ipfs_connector: { embedded: sections.embeddedSection, ipfshttp: sections.ipfshttpSection },
  state: {},
  pin_tracker: { stateless: sections.statelessSection },
  monitor: { pubsubmon: sections.pubsubmonSection },
  allocator: { balanced: sections.balancedSection },
  informer: {
    disk: sections.diskSection,
    pinqueue: sections.pinqueueSection,
    tags: sections.tagsSection,
  },
  observations: { metrics: sections.metricsSection, tracing: sections.tracingSection },
  datastore: {
    badger: badgerSection,
    badger3: badger3Section,
    leveldb: leveldbSection,
    pebble: pebbleSection,
  },
} as const

type Groups = typeof GROUPS
type GroupName = keyof Groups
type SectionValues<S> = S extends Section<infer V> ? V : never

/** A component that the file does not name is `undefined`. */
export type ServiceConfig = {
  /** Where the rest comes from instead, when set. */
  readonly source: string
  readonly cluster: SectionValues<typeof sections.clusterSection>
} & {
  readonly [G in GroupName]: { readonly [C in keyof Groups[G]]?: SectionValues<Groups[G][C]> | undefined }
}

export type ConsensusName = 'crdt' | 'raft'
export type DatastoreName = keyof Groups['datastore']
export type IpfsConnectorName = keyof Groups['ipfs_connector']

/** What `init` writes. */
export function initialConfig(choice: {
  readonly consensus: ConsensusName
  readonly datastore: DatastoreName
  readonly ipfs: IpfsConnectorName
  readonly peername: string
  readonly secret: Uint8Array
}): ServiceConfig {
  const wanted: Partial<Record<GroupName, readonly string[]>> = {
    consensus: [choice.consensus],
    ipfs_connector: [choice.ipfs],
    // Raft keeps its state in its own log.
    datastore: choice.consensus === 'raft' ? [] : [choice.datastore],
  }
  const groups = mapGroups((component, each, group) =>
    wanted[group]?.includes(component) === false ? undefined : each.initial,
  )
  const { initial } = sections.clusterSection
  return {
    ...groups,
    source: '',
    cluster: { ...initial, peername: choice.peername, secret: choice.secret },
  }
}

/**
 * Reads the text of `service.json`. A file that only points elsewhere comes back with `source` set and everything else initial.
 *
 * @throws ConfigError naming the first key that is wrong.
 */
export function parseServiceConfig(json: string, hostname: string): ServiceConfig {
  const top = caseless(parseObject(json))
  const source = top.get('source')
  if (source !== undefined && typeof source !== 'string') throw invalid('source', 'must be a URL')
  const groups = mapGroups((component, each, group) => {
    const components = top.get(group) ?? {}
    const value = caseless(asObject(group, components)).get(component)
    return value === undefined || value === null ? undefined : each.parse(value)
  })
  const given = top.get('cluster')
  if (given === undefined && (source ?? '') === '') throw invalid('cluster', 'the section is missing')
  const cluster = given === undefined ? sections.clusterSection.initial : sections.clusterSection.parse(given)
  return {
    ...groups,
    source: source ?? '',
    cluster: { ...cluster, peername: cluster.peername === '' ? hostname : cluster.peername },
  }
}

/** Components that run although the file does not name them, with their initial values and what the environment sets. */
const ALWAYS: readonly string[] = ['stateless', 'pubsubmon', 'metrics', 'tracing']

/** Overlays `CLUSTER_*` variables. Of components that the file does not name, only those that run all the same are affected. */
export function withEnvironment(config: ServiceConfig, env: Environment): ServiceConfig {
  const runs = (component: string) =>
    ALWAYS.includes(component) || (component === 'ipfshttp' && config.ipfs_connector.embedded === undefined)
  return {
    ...mapGroups((component, each, group) => {
      const values = valuesOf(config, group, component) ?? (runs(component) ? each.initial : undefined)
      return values === undefined ? undefined : each.withEnv(values, env)
    }),
    source: config.source,
    cluster: sections.clusterSection.withEnv(config.cluster, env),
  }
}

/** @throws ConfigError naming the first key that is wrong. */
export function validateServiceConfig(config: ServiceConfig): void {
  sections.clusterSection.validate(config.cluster)
  mapGroups((component, each, group) => {
    const values = valuesOf(config, group, component)
    if (values !== undefined) each.validate(values)
    return undefined
  })
  const { crdt, raft } = config.consensus
  if ((crdt === undefined) === (raft === undefined)) {
    throw invalid(
      'consensus',
      'could not determine the consensus component: name exactly one of "crdt" and "raft"',
    )
  }
  const connectors = Object.values(config.ipfs_connector).filter(each => each !== undefined)
  if (connectors.length !== 1) {
    throw invalid(
      'ipfs_connector',
      'name exactly one of "ipfshttp" (Kubo) and "embedded" (the built-in node)',
    )
  }
  if (Object.values(config.informer).every(each => each === undefined)) {
    throw invalid('informer', 'at least one of "disk", "tags" and "pinqueue" is needed')
  }
}

/** The text of `service.json`: two spaces, no newline at the end, Go's key order. */
export function formatServiceConfig(config: ServiceConfig): string {
  if (config.source !== '') return JSON.stringify({ source: config.source }, undefined, 2)
  return written(config, (section, values) => section.format(values))
}

/** For people and logs: the same with every key, and `XXX_hidden_XXX` for secrets. */
export function displayServiceConfig(config: ServiceConfig): string {
  return written(config, (section, values) => section.display(values))
}

function written(
  config: ServiceConfig,
  write: (section: Section<unknown>, values: unknown) => Record<string, unknown>,
): string {
  const groups = mapGroups((component, each, group) => {
    const values = valuesOf(config, group, component)
    return values === undefined ? undefined : write(each, values)
  })
  const named = Object.entries(groups)
    .map(([group, components]) => [group, dropUndefined(components)] as const)
    .filter(([, components]) => Object.keys(components).length > 0)
  const cluster = write(sections.clusterSection as Section<unknown>, config.cluster)
  return JSON.stringify({ cluster, ...Object.fromEntries(named) }, undefined, 2)
}

function valuesOf(config: ServiceConfig, group: GroupName, component: string): unknown {
  const components: Readonly<Record<string, unknown>> = config[group]
  return components[component]
}

/** Applies `map` to every component; the caller vouches for the result being of the component's type. */
function mapGroups(
  map: (component: string, section: Section<unknown>, group: GroupName) => unknown,
): Omit<ServiceConfig, 'source' | 'cluster'> {
  return Object.fromEntries(
    (Object.entries(GROUPS) as [GroupName, Readonly<Record<string, Section<unknown>>>][]).map(
      ([group, components]) => [
        group,
        Object.fromEntries(Object.entries(components).map(([name, each]) => [name, map(name, each, group)])),
      ],
    ),
  ) as unknown as Omit<ServiceConfig, 'source' | 'cluster'>
}

function parseObject(json: string): Readonly<Record<string, unknown>> {
  try {
    return asObject('service.json', JSON.parse(json))
  } catch (error) {
    if (error instanceof SyntaxError)
      throw invalid('service.json', `is not JSON: ${withoutQuote(error.message)}`)
    throw error
  }
}

/** What the parser found it quotes with what stands around it, which may be a secret. */
function withoutQuote(message: string): string {
  return message
    .replace(/^Unexpected token .*$/s, 'there is a character where none may be')
    .replace(/".*"/s, '…')
}

function asObject(key: string, value: unknown): Readonly<Record<string, unknown>> {
  try {
    return expectObject(value)
  } catch (error) {
    throw invalid(key, asError(error).message)
  }
}

function dropUndefined(object: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined))
}
