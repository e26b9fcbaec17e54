/** Errors as `Failure` of the specification: a reason for machines, details for people. */
import { errorCode, errorMessage } from '@ipfs-cluster/base'
import { httpStatusOf } from '../common/index.ts'

/** What is wrong with a request to this API, beside what is wrong in all. */
const STATUS_OF_CODE: Readonly<Record<string, number>> = {
  BAD_PIN: 400,
  PIN_MODE_MISMATCH: 400,
  PIN_NOT_UPDATABLE: 400,
  PIN_TYPE_MISMATCH: 400,
  UNPIN_SHARD: 400,
  FOLLOWER_MODE: 403,
}

const REASONS: Readonly<Record<number, string>> = {
  400: 'BAD_REQUEST',
  401: 'UNAUTHORIZED',
  403: 'FORBIDDEN',
  404: 'NOT_FOUND',
  429: 'TOO_MANY_REQUESTS',
  503: 'SERVICE_UNAVAILABLE',
  507: 'INSUFFICIENT_STORAGE',
}

export interface Failure {
  readonly status: number
  readonly body: string
}

export function failureOf(error: unknown): Failure {
  const status = STATUS_OF_CODE[errorCode(error) ?? ''] ?? httpStatusOf(error)
  return { status, body: failureBody(status, errorMessage(error)) }
}

export function failureBody(status: number, details: string): string {
  const reason = REASONS[status] ?? 'INTERNAL_SERVER_ERROR'
  return `${JSON.stringify({ error: { reason, details } })}\n`
}
