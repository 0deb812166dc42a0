import type { Interceptor } from '@connectrpc/connect';
import { Access, type Policy } from '../../gen/gatehouse/v1/policy_pb.ts';
import { Refusal } from '../errors.ts';
import { type Caller, kCaller, kCertificateNames, kProject } from './context.ts';
import { policyOf } from './policy.ts';

/** Finds out whom a bearer speaks for. Throws a Refusal for one that is not good. */
export type ReadBearer = (bearer: string, req: AnyRequest) => Promise<Caller>;

type AnyRequest = Parameters<ReturnType<Interceptor>>[0];

/** Finds the backend that a verified client certificate with these names stands for. */
export type ReadCertificate = (names: readonly string[]) => Caller | undefined;

/** Finds the project a header names; without a header, the default one. */
export type SelectProject = (header: string | null) => string;

export interface AuthenticateOptions {
  readonly readBearer: ReadBearer;
  readonly readCertificate: ReadCertificate;
  readonly selectProject: SelectProject;
}

/**
 * Reads the caller from the Authorization header or, where that is missing, from the client's certificate, and from
 * nowhere else, and settles the call's project: it is the caller's, and a `gatehouse-project` header that says otherwise
 * is refused.
 *
 * A bad bearer is kept as the refusal it is: the policy, or the method that asks for its caller, throws it. It is never
 * passed over for a certificate.
 */
export function authenticate({ readBearer, readCertificate, selectProject }: AuthenticateOptions): Interceptor {
  return (next) => async (req) => {
    const rules = policyOf(req.method);
    const header = req.header.get('gatehouse-project');
    const named = selectProject(header);
    req.contextValues.set(kProject, named);
    if (rules && (rules.access !== Access.PUBLIC || rules.optionalBearer)) {
      const caller =
        (await readCaller(req, readBearer)) ??
        (admitsBackends(rules) ? readCertificate(req.contextValues.get(kCertificateNames)) : undefined);
      req.contextValues.set(kCaller, caller);
      if (caller && !(caller instanceof Refusal)) req.contextValues.set(kProject, settle(caller, header && named));
    }
    return next(req);
  };
}

// A certificate is on every call of its connection, also on those that a backend makes for somebody who has no bearer
// (yet): they must be told to authenticate, and may register.
function admitsBackends({ access, admitsServices }: Policy): boolean {
  return admitsServices || (access !== Access.PUBLIC && access !== Access.USER);
}

async function readCaller(req: AnyRequest, readBearer: ReadBearer) {
  const authorization = req.header.get('authorization');
  if (authorization === null) return undefined;
  const [, bearer] = /^Bearer ([\x21-\x7e]+)$/i.exec(authorization) ?? [];
  if (!bearer) return new Refusal('TOKEN_INVALID');
  try {
    return await readBearer(bearer, req);
  } catch (thrown) {
    if (thrown instanceof Refusal) return thrown;
    throw thrown;
  }
}

function settle(caller: Caller, named: string | null): string {
  if (named && named !== caller.projectId) throw new Refusal('PROJECT_MISMATCH');
  return caller.projectId;
}
