import { createContextValues, type HandlerContext, type UnaryRequest } from '@connectrpc/connect';
import type { MikroORM } from '@mikro-orm/postgresql';
import { AuthService } from '../../gen/gatehouse/v1/auth_pb.ts';
import { defaultProjectId } from '../../src/project/project.ts';
import { kOrigin, kProject } from '../../src/rpc/context.ts';
import { unitOfWork } from '../../src/rpc/unit-of-work.ts';
import { lockFirst } from '../../src/session/caller-lock.ts';

/** Runs functions of a domain as calls without an access token, each in a unit of work of its own. */
export function unitsOfWork(orm: MikroORM, now: () => Date) {
  return async <T>(call: (context: HandlerContext) => Promise<T>): Promise<T> => {
    const contextValues = createContextValues()
      .set(kProject, defaultProjectId)
      .set(kOrigin, { requestId: 'r', address: '192.0.2.1', userAgent: 'a program' });
    const request = { contextValues, method: AuthService.method.signUpAnonymous, signal: new AbortController().signal };
    let result!: T;
    const run = unitOfWork({ orm, now, lockFirst })(async () => {
      result = await call({ values: contextValues } as HandlerContext);
      return undefined as never;
    });
    await run(request as unknown as UnaryRequest);
    return result;
  };
}
