/** Why these replication factors are wrong, in Go's words; `undefined` when they are right. */
export function factorProblem(min: number, max: number): string | undefined {
  if (min === 0 || max === 0) return 'cluster.replication_factor_min and max must be set'
  if (min > max) return 'cluster.replication_factor_min is larger than max'
  if (min < -1) return 'cluster.replication_factor_min is wrong'
  if (max < -1) return 'cluster.replication_factor_max is wrong'
  if ((min === -1) !== (max === -1)) {
    return 'cluster.replication_factor_min and max must be -1 when one of them is'
  }
  return undefined
}
