import type { Interceptor } from '@connectrpc/connect';
import { Access, type Policy } from '../../gen/gatehouse/v1/policy_pb.ts';
import { Refusal } from '../errors.ts';
import { type Caller, kCaller, kCertificateNames, kProject, kProjectName } from './context.ts';
import { policyOf } from './policy.ts';
import type { FindProject } from './select-project.ts';

/** Reads the caller that a bearer token identifies. Throws a Refusal for an invalid token. */
export type ReadBearer = (bearer: string, req: AnyRequest) => Promise<Caller>;

type AnyRequest = Parameters<ReturnType<Interceptor>>[0];

/** Returns the backend that a verified client certificate with these names identifies. */
export type ReadCertificate = (names: readonly string[]) => Caller | undefined;

export interface AuthenticateOptions {
  readonly readBearer: ReadBearer;
  readonly readCertificate: ReadCertificate;
  readonly findProject: FindProject;
}

/**
 * Reads the caller from the Authorization header or, without that header, from the client certificate. The project of
 * the call is the caller's. A call that names another project is refused.
 *
 * The refusal of an invalid bearer token takes the place of the caller. The policy throws it, or the method when it
 * asks for its caller. The certificate is not read instead.
 */
export function authenticate({ readBearer, readCertificate, findProject }: AuthenticateOptions): Interceptor {
  return (next) => async (req) => {
    const rules = policyOf(req.method);
    if (rules && (rules.access !== Access.PUBLIC || rules.optionalBearer)) {
      const caller =
        (await readCaller(req, readBearer)) ??
        (admitsBackends(rules) ? readCertificate(req.contextValues.get(kCertificateNames)) : undefined);
      req.contextValues.set(kCaller, caller);
      if (caller && !(caller instanceof Refusal)) {
        const { contextValues } = req;
        const isNamed = contextValues.get(kProjectName) !== undefined;
        if (isNamed && contextValues.get(kProject) !== caller.projectId) throw new Refusal('PROJECT_MISMATCH');
        // So that this process knows the settings of the project.
        const found = findProject(caller.projectId);
        contextValues.set(kProject, typeof found === 'string' ? found : await found);
      }
    }
    return next(req);
  };
}

// A connection has one certificate for all of its calls, also for calls that a backend makes for a user without an
// access token. Such a call must not act as the backend: it fails with AUTHENTICATION_REQUIRED or registers a user.
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
