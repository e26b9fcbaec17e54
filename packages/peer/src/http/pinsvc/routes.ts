import { routeMatcher, type RouteMatch } from '@ipfs-cluster/api'

/** In the order of Go's. */
export const ROUTES = {
  listPins: { method: 'GET', path: '/pins' },
  addPin: { method: 'POST', path: '/pins' },
  getPin: { method: 'GET', path: '/pins/{requestid}' },
  replacePin: { method: 'POST', path: '/pins/{requestid}' },
  removePin: { method: 'DELETE', path: '/pins/{requestid}' },
  token: { method: 'POST', path: '/token' },
  health: { method: 'GET', path: '/health' },
} as const

export type PinningRoute = keyof typeof ROUTES

export const matchRoute: (method: string, escapedPath: string) => RouteMatch<PinningRoute> =
  routeMatcher(ROUTES)

/** The pattern of the route that answers, for traces; `undefined` when none does. */
export function pinningServiceRouteOf(method: string, path: string): string | undefined {
  const match = matchRoute(method, path)
  return match.kind === 'route' ? ROUTES[match.name].path : undefined
}
