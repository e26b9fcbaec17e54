/**
 * The storage engines of the Go peer. Their sections are read and written so that a file serves both implementations; this peer keeps its
 * own store and uses none of the values (reference api.md 5.5).
 */
import { duration, engineOptionFrom, engineOptions, float, text } from './kinds.ts'
import { envName, field, guard, section, type Field, type Section } from './section.ts'

const MiB = 1024 * 1024

const PEBBLE_OPTIONS = {
  cache_size_bytes: 1024 * MiB,
  bytes_per_sync: MiB,
  disable_wal: false,
  flush_delay_delete_range: 0,
  flush_delay_range_key: 0,
  flush_split_bytes: 4 * MiB,
  format_major_version: 24,
  l0_compaction_file_threshold: 750,
  l0_compaction_threshold: 4,
  l0_stop_writes_threshold: 12,
  l_base_max_bytes: 128 * MiB,
  max_open_files: 1000,
  mem_table_size: 64 * MiB,
  mem_table_stop_writes_threshold: 20,
  read_only: false,
  wal_bytes_per_sync: 0,
  levels: Array.from({ length: 7 }, (_, level) => ({
    block_restart_interval: 16,
    block_size: 4096,
    block_size_threshold: 90,
    compression: 1,
    filter_type: 0,
    filter_policy: 10,
    index_block_size: 4096,
    target_file_size: 4 * MiB * 2 ** level,
  })),
}

const BADGER3_OPTIONS = {
  dir: '',
  value_dir: '',
  sync_writes: false,
  num_versions_to_keep: 1,
  read_only: false,
  compression: 0,
  in_memory: false,
  metrics_enabled: true,
  num_goroutines: 8,
  mem_table_size: 64 * MiB,
  base_table_size: 2 * MiB,
  base_level_size: 10 * MiB,
  level_size_multiplier: 10,
  table_size_multiplier: 2,
  max_levels: 7,
  v_log_percentile: 0,
  value_threshold: 100,
  num_memtables: 5,
  block_size: 4096,
  bloom_false_positive: 0.01,
  block_cache_size: 0,
  index_cache_size: 0,
  num_level_zero_tables: 5,
  num_level_zero_tables_stall: 15,
  value_log_file_size: 1024 * MiB - 1,
  value_log_max_entries: 1_000_000,
  num_compactors: 4,
  compact_l_0_on_close: false,
  lmax_compaction: false,
  zstd_compression_level: 1,
  verify_value_checksum: false,
  checksum_verification_mode: 0,
  detect_conflicts: false,
  namespace_offset: -1,
}

const BADGER_OPTIONS = {
  dir: '',
  value_dir: '',
  sync_writes: true,
  table_loading_mode: 2,
  value_log_loading_mode: 0,
  num_versions_to_keep: 1,
  max_table_size: 16 * MiB,
  level_size_multiplier: 10,
  max_levels: 7,
  value_threshold: 32,
  num_memtables: 5,
  num_level_zero_tables: 5,
  num_level_zero_tables_stall: 10,
  level_one_size: 256 * MiB,
  value_log_file_size: 1024 * MiB - 1,
  value_log_max_entries: 1_000_000,
  num_compactors: 2,
  compact_l_0_on_close: false,
  read_only: false,
  truncate: true,
}

const LEVELDB_OPTIONS = {
  block_cache_capacity: 0,
  block_cache_evict_removed: false,
  block_restart_interval: 0,
  block_size: 0,
  compaction_expand_limit_factor: 0,
  compaction_gp_overlaps_factor: 0,
  compaction_l0_trigger: 0,
  compaction_source_limit_factor: 0,
  compaction_table_size: 0,
  compaction_table_size_multiplier: 0,
  compaction_table_size_multiplier_per_level: null,
  compaction_total_size: 0,
  compaction_total_size_multiplier: 0,
  compaction_total_size_multiplier_per_level: null,
  compression: 0,
  disable_buffer_pool: false,
  disable_block_cache: false,
  disable_compaction_backoff: false,
  disable_large_batch_transaction: false,
  iterator_sampling_rate: 0,
  no_sync: false,
  no_write_merge: false,
  open_files_cache_capacity: 0,
  read_only: false,
  strict: 0,
  write_buffer: 0,
  write_l0_pause_trigger: 0,
  write_l0_slowdown_trigger: 0,
}

type Options = Readonly<Record<string, unknown>>

/** Options of an engine, each of which has its own variable. */
function options(name: string, initial: Options): Field<Options> {
  const inner: Section<Options> = {
    name,
    initial,
    parse: json => engineOptions.parse(json),
    withEnv: (values, env) =>
      Object.fromEntries(
        Object.entries(values).map(([key, now]) => {
          const variable = envName(name, key)
          const set = env[variable]
          return [key, set === undefined ? now : guard(variable, () => engineOptionFrom(set, now))]
        }),
      ),
    validate: () => undefined,
    format: values => ({ ...values }),
    display: values => ({ ...values }),
  }
  return field(engineOptions, initial, { inner })
}

const folder = field(text, '', { missing: 'zero', omit: value => value === '' })

const valueLogGc = {
  gc_discard_ratio: field(float, 0.2, {
    emptyIsDefault: true,
    check: value => (value > 0 && value < 1 ? undefined : `must be between 0 and 1, not ${value}`),
  }),
  gc_interval: field(duration, 15 * 60_000),
  gc_sleep: field(duration, 10_000),
}

export const pebbleSection = section('pebble', {
  folder,
  pebble_options: options('pebble.pebble_options', PEBBLE_OPTIONS),
})
export const badger3Section = section('badger3', {
  folder,
  ...valueLogGc,
  badger_options: options('badger3.badger_options', BADGER3_OPTIONS),
})
export const badgerSection = section('badger', {
  folder,
  ...valueLogGc,
  badger_options: options('badger.badger_options', BADGER_OPTIONS),
})
export const leveldbSection = section('leveldb', {
  folder,
  leveldb_options: options('leveldb.leveldb_options', LEVELDB_OPTIONS),
})
