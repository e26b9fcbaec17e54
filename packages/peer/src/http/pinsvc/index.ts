/**
 * The IPFS Pinning Service API (Go: `api/pinsvcapi`; the specification of github.com/ipfs/pinning-services-api-spec, 1.0.0; reference api.md 3;
 * decision 0022): pins of the cluster as pin objects whose request id is their CID.
 *
 * `read-request.ts`, `status.ts` and `routes.ts` decide; `pin-objects.ts` and `listing.ts` ask the cluster. It knows nothing of allocation, and keeps nothing.
 */
export * from './types.ts'
export { createPinningService, type PinningServiceComponents } from './pinning-service.ts'
export { pinningServiceRouteOf } from './routes.ts'
