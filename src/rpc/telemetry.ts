import { Code, ConnectError, type Interceptor } from '@connectrpc/connect';
import type { Logger } from 'pino';
import { ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { kCaller, kOrigin } from './context.ts';

/** Writes one line per call: who called what, how it ended and how long it took. Never what was said. */
export function telemetry(log: Logger): Interceptor {
  return (next) => async (req) => {
    const startedAt = performance.now();
    const write = (outcome: { code: string; reason?: string | undefined }): void => {
      const { requestId, address } = req.contextValues.get(kOrigin);
      const found = req.contextValues.get(kCaller);
      const caller = found instanceof Error ? undefined : found;
      log.info({
        requestId,
        method: `${req.service.typeName}/${req.method.name}`,
        ...outcome,
        ms: Math.round((performance.now() - startedAt) * 100) / 100,
        address,
        ...(caller?.kind === 'user' && { userId: caller.userId, sessionId: caller.sessionId }),
        ...(caller?.kind === 'service' && { service: caller.name }),
      });
    };
    try {
      const res = await next(req);
      res.header.set('x-request-id', req.contextValues.get(kOrigin).requestId);
      write({ code: 'ok' });
      return res;
    } catch (thrown) {
      const error = ConnectError.from(thrown);
      error.metadata.set('x-request-id', req.contextValues.get(kOrigin).requestId);
      write({ code: codeName(error.code), reason: error.findDetails(ErrorInfoSchema)[0]?.reason });
      throw error;
    }
  };
}

function codeName(code: Code): string {
  return Code[code]!.replace(/(?!^)([A-Z])/g, '_$1').toLowerCase();
}
