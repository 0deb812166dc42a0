import { ConnectError } from '@connectrpc/connect';
import { BadRequestSchema, ErrorInfoSchema } from '../../../gen/google/rpc/error_details_pb.ts';
import type { Reason } from '../../errors.ts';
import { toConnectError, toRefusal } from '../../rpc/connect-error.ts';
import { AuthError } from './auth-error.ts';
import type { AnyRow, Facts, Row } from './error-row.ts';
import { type RouteName, rowsOfEveryRoute, rowsOfRoutes } from './error-table.ts';

/** The row for a reason that a method refused the call of a route with. Undefined if the table has none. */
export function rowOf(route: RouteName, reason: Reason): AnyRow | undefined {
  return rowsOfRoutes[route]?.[reason] ?? rowsOfEveryRoute[reason];
}

/** Whatever a route threw, as clients of Supabase Auth read it. */
export function authErrorOf(thrown: unknown, route: RouteName): AuthError {
  if (thrown instanceof AuthError) return thrown;
  const error = thrown instanceof ConnectError ? thrown : toConnectError(toRefusal(thrown));
  const { reason = '', metadata = {} } = error.findDetails(ErrorInfoSchema)[0] ?? {};
  const fields = error.findDetails(BadRequestSchema).flatMap((each) => each.fieldViolations);
  const wait = error.metadata.get('retry-after');
  const facts: Facts = { metadata, fields, wait: wait ?? undefined };
  const row = rowOf(route, reason as Reason) ?? unmapped;
  const [status, code, text = error.rawMessage] = typeof row === 'function' ? row(facts) : row;
  return new AuthError(status, code, typeof text === 'string' ? text : text(facts), {
    ...(wait !== null && { headers: { 'retry-after': wait } }),
    ...(code === 'weak_password' && { more: { weak_password: { reasons: weaknesses(facts) } } }),
  });
}

const unmapped: Row = [500, 'unexpected_failure'];

/** How clients call what makes a password weak. */
function weaknesses({ metadata }: Facts): string[] {
  const reasons = metadata.reasons?.split(',') ?? [];
  return [...new Set(reasons.map((each) => (each === 'too_short' ? 'length' : 'pwned')))];
}

/** The reason of an error of a method. */
export function reasonOf(thrown: unknown): Reason | undefined {
  if (!(thrown instanceof ConnectError)) return undefined;
  return thrown.findDetails(ErrorInfoSchema)[0]?.reason as Reason | undefined;
}
