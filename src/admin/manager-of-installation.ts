import type { HandlerContext } from '@connectrpc/connect';
import { Refusal } from '../errors.ts';
import { defaultProjectId } from '../project/project.ts';
import { anyCaller, type Caller } from '../rpc/context.ts';

/**
 * Returns the caller of a method that concerns all projects. Throws CALLER_NOT_ALLOWED for operators and backends of other
 * projects than the default one.
 */
export function managerOfInstallation(context: HandlerContext): Caller {
  const caller = anyCaller(context);
  if (caller.projectId !== defaultProjectId) throw new Refusal('CALLER_NOT_ALLOWED');
  return caller;
}
