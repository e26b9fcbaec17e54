import { errorCode } from '@ipfs-cluster/base'

/** Statuses of coded errors; everything else is 500, as in Go. */
const STATUS_OF_CODE: Readonly<Record<string, number>> = {
  BAD_PARAMETER: 400,
  HTTP_BAD_UPLOAD: 400,
  PIN_NOT_FOUND: 404,
  CRDT_QUEUE_FULL: 429,
  UNAUTHORIZED: 401,
  NOT_READY: 503,
  STORE_REOPENED: 503,
  // Unlike 500 it tells a client that nothing is wrong with what it asks: the same will do once there is room.
  STORE_FULL: 507,
  IPFS_REPO_FULL: 507,
}

/** Seconds after which a client that was told 429 should try again. */
export const RETRY_AFTER_S = 1

export function httpStatusOf(error: unknown): number {
  return STATUS_OF_CODE[errorCode(error) ?? ''] ?? 500
}
