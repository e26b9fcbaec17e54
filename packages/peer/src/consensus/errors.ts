import { CodedError } from '@ipfs-cluster/base'

export type ConsensusFailure =
  | { readonly code: 'CONSENSUS_FIXED_MEMBERSHIP' }
  | { readonly code: 'CONSENSUS_BLOCKS_LIMIT'; readonly reason: string; readonly limit: number }

export class ConsensusError extends CodedError<ConsensusFailure> {
  override readonly name = 'ConsensusError'
}
