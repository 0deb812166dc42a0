import { health, settings } from './about.ts';
import type { Answer, Asked } from './asked.ts';
import type { RouteName } from './error-table.ts';
import { deleteUser, getUser, listSessions, signOut } from './own-user.ts';
import { signUp, signUpAnonymously } from './sign-up.ts';
import { refresh, signIn, unsupportedGrant, web3 } from './token.ts';

/** A path and a method of /auth/v1. */
export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Below /auth/v1. A part that begins with a colon is a parameter. */
  readonly path: string;
  /** For the table of errors. */
  readonly name: RouteName;
  /** The methods that it calls, as in LIMITS. */
  readonly calls: readonly string[];
  readonly serve: (asked: Asked) => Promise<Answer>;
  /** Whether the route is the one for a request, among those with the same path and method. */
  readonly fits?: (asked: Pick<Asked, 'query' | 'body'>) => boolean;
}

const isGuest: Route['fits'] = ({ body }) => !body.text('email') && !body.text('phone');
const isGrant =
  (grant: string): Route['fits'] =>
  ({ query, body }) =>
    (query.get('grant_type') || body.text('grant_type')) === grant;

const getMe = 'AuthService.GetMe';

/** The routes. Of those with the same path and method the first that fits serves the request. */
export const routes: readonly Route[] = [
  { method: 'GET', path: '/health', name: 'about', calls: [], serve: health },
  { method: 'GET', path: '/settings', name: 'about', calls: ['AuthService.GetSettings'], serve: settings },
  {
    ...{ method: 'POST', path: '/signup', name: 'sign up as a guest', serve: signUpAnonymously, fits: isGuest },
    calls: ['AuthService.SignUpAnonymous', getMe],
  },
  {
    ...{ method: 'POST', path: '/signup', name: 'sign up', serve: signUp },
    calls: ['AuthService.Register', 'AuthService.GetSettings', 'AuthService.SendVerificationEmail', getMe],
  },
  {
    ...{ method: 'POST', path: '/token', name: 'sign in', serve: signIn, fits: isGrant('password') },
    calls: ['AuthService.SignIn', getMe],
  },
  {
    ...{ method: 'POST', path: '/token', name: 'refresh', serve: refresh, fits: isGrant('refresh_token') },
    calls: ['SessionService.Refresh', getMe],
  },
  { method: 'POST', path: '/token', name: 'about', calls: [], serve: web3, fits: isGrant('web3') },
  { method: 'POST', path: '/token', name: 'about', calls: [], serve: unsupportedGrant },
  { method: 'GET', path: '/user', name: 'user', calls: [getMe], serve: getUser },
  { method: 'DELETE', path: '/user', name: 'user', calls: ['AuthService.DeleteMe'], serve: deleteUser },
  { method: 'POST', path: '/logout', name: 'sign out', calls: ['SessionService.SignOut'], serve: signOut },
  { method: 'GET', path: '/sessions', name: 'user', calls: ['SessionService.ListSessions'], serve: listSessions },
];
