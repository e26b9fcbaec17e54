import { CodedError } from '@ipfs-cluster/base'

export type ConsensusFailure = { readonly code: 'CONSENSUS_FIXED_MEMBERSHIP' }

export class ConsensusError extends CodedError<ConsensusFailure> {
  override readonly name = 'ConsensusError'
}
