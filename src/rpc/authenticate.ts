import type { Interceptor } from '@connectrpc/connect';
import { Access } from '../../gen/gatehouse/v1/policy_pb.ts';
import { Refusal } from '../errors.ts';
import { type Caller, kCaller, kProject } from './context.ts';
import { policyOf } from './policy.ts';

/** Finds out whom a bearer speaks for. Throws a Refusal for one that is not good. */
export type ReadBearer = (bearer: string, signal: AbortSignal) => Promise<Caller>;

/** Finds the project a header names; without a header, the default one. */
export type SelectProject = (header: string | null) => string;

/**
 * Reads the caller from the Authorization header, and from nowhere else, and settles the call's project: with a bearer
 * it is the bearer's, and a `gatehouse-project` header that says otherwise is refused.
 *
 * A bad bearer is kept as the refusal it is: the policy, or the method that asks for its caller, throws it.
 */
export function authenticate(readBearer: ReadBearer, selectProject: SelectProject): Interceptor {
  return (next) => async (req) => {
    const rules = policyOf(req.method);
    const header = req.header.get('gatehouse-project');
    const named = selectProject(header);
    req.contextValues.set(kProject, named);
    if (rules && (rules.access !== Access.PUBLIC || rules.optionalBearer)) {
      const caller = await readCaller(req.header, req.signal, readBearer);
      req.contextValues.set(kCaller, caller);
      if (caller && !(caller instanceof Refusal)) req.contextValues.set(kProject, settle(caller, header && named));
    }
    return next(req);
  };
}

async function readCaller(header: Headers, signal: AbortSignal, readBearer: ReadBearer) {
  const authorization = header.get('authorization');
  if (authorization === null) return undefined;
  const [, bearer] = /^Bearer ([\x21-\x7e]+)$/i.exec(authorization) ?? [];
  if (!bearer) return new Refusal('TOKEN_INVALID');
  try {
    return await readBearer(bearer, signal);
  } catch (thrown) {
    if (thrown instanceof Refusal) return thrown;
    throw thrown;
  }
}

function settle(caller: Caller, named: string | null): string {
  if (named && named !== caller.projectId) throw new Refusal('PROJECT_MISMATCH');
  return caller.projectId;
}
